import pytest

from lapse.serve.server import ServeOptions, run_server

TOKEN = "t" * 40


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"host": "0.0.0.0"}, "--token-file"),
        ({"host": "::"}, "--token-file"),
        ({"host": "0.0.0.0", "token_file": "open"}, "others can read it"),
        ({"token_file": "open"}, "others can read it"),
        ({"host": "example.org"}, "not an IP address"),
        ({"allowed_hosts": ("http://x",)}, "not a host name"),
    ],
)
def test_an_unsafe_start_is_refused_before_a_model_is_loaded(values, message, tmp_path):
    path = tmp_path / "open"
    path.write_text(TOKEN)
    path.chmod(0o644)
    if "token_file" in values:
        values = {**values, "token_file": path}
    with pytest.raises(ValueError, match=message):
        run_server(ServeOptions(port=0, **values))


def test_a_missing_token_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        run_server(ServeOptions(host="0.0.0.0", port=0, token_file=tmp_path / "missing"))
