"""The pixel's files: names, versions, caches, encodings."""

import gzip

import brotli
import pytest

from collector.ingest import script

STATIC = script.resources.files("collector") / "static"
DECODERS = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
SECOND = (STATIC / "c2.js").is_file()
NAMES = {"/c.js": "c.js", "/pixel.js": "c.js"} | ({"/c2.js": "c2.js"} if SECOND else {})


async def fetch(collector, path, method="GET", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url = collector.url + path
    async with collector.session.request(
        method, url, headers={"Accept-Encoding": ""} | sent, auto_decompress=False
    ) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5 , br; q=0", "gzip"),
        ("br;q=0.0,gzip;q=0", None),
        ("", None),
        ("brotli", None),
    ],
)
@pytest.mark.parametrize("path", NAMES)
async def test_a_file_comes_in_the_best_encoding_that_is_taken(collector, path, accepted, encoding):
    status, headers, body = await fetch(collector, path, Accept_Encoding=accepted)
    assert status == 200
    assert headers.get("Content-Encoding") == encoding
    assert DECODERS[encoding](body) == (STATIC / NAMES[path]).read_bytes()
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("path", NAMES)
async def test_a_stable_name_is_kept_an_hour_and_asked_for_again_by_its_etag(collector, path):
    _, headers, _ = await fetch(collector, path)
    assert headers["Cache-Control"] == "public, max-age=3600, stale-while-revalidate=86400"
    tag = headers["ETag"]
    for said in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        status, again, body = await fetch(collector, path, If_None_Match=said)
        assert (status, body) == (304, b"")
        assert again["ETag"] == tag
    status, _, _ = await fetch(collector, path, If_None_Match='"other"')
    assert status == 200


@pytest.mark.parametrize("path", NAMES)
async def test_the_name_with_the_version_is_kept_for_ever(collector, path):
    _, headers, body = await fetch(collector, path)
    version = headers["ETag"].removeprefix("W/").strip('"')
    versioned = path.replace(".js", f"-{version}.js")
    status, headers, same = await fetch(collector, versioned)
    assert (status, same) == (200, body)
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_a_version_of_another_day_is_the_present_script_for_an_hour(collector):
    _, _, body = await fetch(collector, "/c.js")
    status, headers, same = await fetch(collector, f"/c-{'0' * 16}.js")
    assert (status, same) == (200, body)
    assert headers["Cache-Control"].startswith("public, max-age=3600,")


@pytest.mark.parametrize("path", ["/c-.js", "/c-00.js", f"/x-{'0' * 16}.js", "/c.js/"])
async def test_other_names_are_not_there(collector, path):
    status, _, _ = await fetch(collector, path)
    assert status == 404


async def test_head_has_the_headers_alone(collector):
    _, got, body = await fetch(collector, "/c.js")
    status, headers, nothing = await fetch(collector, "/c.js", "HEAD")
    assert (status, nothing) == (200, b"")
    assert headers["ETag"] == got["ETag"]
    assert int(headers["Content-Length"]) == len(body)


async def test_under_a_name_of_ones_own_the_second_file_is_beside_it(idle):
    await idle.start(**{"http.script_path": "/assets/shop.js"})
    _, headers, body = await fetch(idle, "/assets/shop.js")
    assert body == (STATIC / "c.js").read_bytes()
    version = headers["ETag"].removeprefix("W/").strip('"')
    assert (await fetch(idle, f"/assets/shop-{version}.js"))[2] == body
    if SECOND:
        assert (await fetch(idle, "/assets/c2.js"))[2] == (STATIC / "c2.js").read_bytes()
    assert (await fetch(idle, "/c.js"))[0] == 404


@pytest.mark.skipif(not SECOND, reason="the script has no second file")
async def test_beside_segments_name_too(collector):
    status, _, body = await fetch(collector, "/analytics.js/v1/wk_key/c2.js")
    assert (status, body) == (200, (STATIC / "c2.js").read_bytes())
