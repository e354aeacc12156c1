"""A comparison as a DICOM structured report (TID 1500), which a PACS stores and viewers show.

codes      findings, changes and regions as coded concepts
content    the content tree: one measurement group for each finding and film
document   headers of the films -> the report, checked and written
"""
