"""Defect types of image files and of reports."""

HARMLESS_DEFECTS = (
    "plain-csv",
    "column-order",
    "line-endings",
    "padded-ids",
    "further-views",
    "upper-case-suffix",
    "png-copies",
    "mac-files",
    "reports-folder",
)
IMAGES = (
    "missing-image",
    "unlisted-image",
    "duplicate-image",
    "unreadable-size",
    "unreadable-time",
    "view-disagrees",
    "view-empty",
    "study-two-patients",
    "undecodable-image",
    "image-size",
    "identical-pixels",
)
REPORTS = ("missing-report", "unlisted-report", "report-not-utf8", "report-without-text")
