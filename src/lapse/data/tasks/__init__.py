"""Tasks: one record -> text samples, without tensors or pixels (paper 3.1).

Every task is a class with `name`, `records` ("studies" or "pairs") and
`samples(record) -> Iterator[Sample]`. Its argument is the number of box bins, which is the image
size in pixels (448 in the paper).
"""
