"""Two studies of a patient from a PACS over DICOMweb, and the report of their comparison back.

connection   the HTTP session: TLS, credentials, limits of bytes and time, errors without ids
studies      QIDO-RS and WADO-RS metadata -> the frontal film of each of two studies
transfer     WADO-RS -> a film in memory; a report -> STOW-RS
"""
