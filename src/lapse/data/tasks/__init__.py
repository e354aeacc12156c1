"""Tasks: one record -> text samples, without tensors or pixels (paper 3.1, formats.md 7.4).

Every task is a class with `name`, `records` ("studies" or "pairs") and
`samples(record) -> Iterator[Sample]`; it is built with the number of box bins, which is the
image side in pixels (448 in the paper).
"""
