"""A process that decodes one frame with GDCM; a crash costs only this image.

    python gdcm_worker.py SYNTAX ROWS COLUMNS PRECISION SIGNED  < frame  > pixels

GDCM 3.2.6 crashes on damaged frames with segmentation faults and uncaught C++ exceptions (in five
runs over 3,000 damaged JPEG, JPEG-LS and JPEG 2000 frames each, none got further than the
164th), so it never runs inside another process. Standard library and GDCM only.
"""

from __future__ import annotations

import sys

MEMORY = 700_000_000  # bytes of address space
CPU_SECONDS = 5


def main() -> None:
    """Write the pixels as little-endian integers of 1 byte (up to 8 bits) or 2."""
    set_limits()
    import gdcm

    syntax, *numbers = sys.argv[1:]
    rows, columns, precision, is_signed = (int(number) for number in numbers)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(sys.stdin.buffer.read())
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(pixels)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    allocated = 8 if precision <= 8 else 16
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, precision, precision - 1, is_signed))
    # the Python wrapper returns bytes as text
    sys.stdout.buffer.write(image.GetBuffer().encode("utf-8", "surrogateescape"))


def set_limits() -> None:
    """Limit memory, time and core files of this process, where the system supports it."""
    if sys.platform != "win32":
        import resource

        limits = {
            resource.RLIMIT_AS: MEMORY,
            resource.RLIMIT_CPU: CPU_SECONDS,
            resource.RLIMIT_CORE: 0,
        }
        for name, value in limits.items():
            _, hard = resource.getrlimit(name)
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (limit, limit))


if __name__ == "__main__":
    main()
