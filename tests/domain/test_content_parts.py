"""The content of a message: which parts are accepted, its text, its sizes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.domain.media import HEADS, content_of, data_url, file, picture, picture_of, sound, text
from turnlog.domain.content import (
    MAX_CONTENT_BYTES,
    MAX_PARTS,
    MAX_TEXT_BYTES,
    MEDIA_BYTES,
    Content,
    bytes_stored,
    check_content,
    content_bytes,
    content_text,
    has_media,
    input_content,
)

_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)

PARTS: list[dict[str, Any]] = [
    text(),
    *(picture(data_url(each)) for each in HEADS if each.startswith("image/")),
    picture("https://example.com/a.png?x=1#y", detail="high"),
    picture(data_url("image/png"), detail="auto"),
    sound("wav"),
    sound("mp3"),
    *(file(each, filename="a b.txt") for each in HEADS),
    file("text/plain"),
    {"type": "file", "file": {"file_id": "file-1"}},
    {"type": "file", "file": {"file_data": "data:text/plain;charset=utf-8;base64,SGk="}},
]
INVALID: list[tuple[Any, str]] = [
    ({"type": "image", "text": "x"}, "does not match any of the expected tags"),
    ({"text": "x"}, "Unable to extract tag"),
    ("x", "should be an object"),
    ({"type": "text"}, "Field required"),
    ({"type": "text", "text": ""}, "at least 1 character"),
    ({"type": "text", "text": 5}, "valid string"),
    ({"type": "text", "text": "x", "cache": 1}, "not permitted"),
    ({"type": "image_url"}, "Field required"),
    ({"type": "image_url", "image_url": "https://example.com/a.png"}, "should be an object"),
    (picture(detail="huge"), "'auto', 'low' or 'high'"),
    (picture("http://example.com/a.png"), "takes an https URL"),
    (picture("https://"), "takes an https URL"),
    (picture("https:///a.png"), "takes an https URL"),
    (picture("https://example.com/a b.png"), "takes an https URL"),
    (picture("file:///etc/passwd"), "takes an https URL"),
    (picture("data:image/png;base64,"), "the data is not image/png"),
    (picture("data:image/png,abc"), "takes an https URL"),
    (picture("data:image/png;base64,???"), "a data URL in base64"),
    (picture("data:image/png;base64,iVBORw0KGg"), "a data URL in base64"),
    (picture("data:image/png;base64,iVBORw0KGgo=\n"), "a data URL in base64"),
    (picture("data:image/svg+xml;base64,PHN2Zz4="), "PNG, JPEG, GIF or WebP"),
    (picture(data_url("image/png", HEADS["image/jpeg"])), "the data is not image/png"),
    (picture(data_url("image/webp", b"RIFF\0\0\0\0WAVE")), "the data is not image/webp"),
    ({"type": "input_audio", "input_audio": {**sound("mp3")["input_audio"], "format": "wav"}}, "is not wav sound"),
    ({"type": "input_audio", "input_audio": {"data": "?", "format": "mp3"}}, "takes sound in base64"),
    ({"type": "input_audio", "input_audio": {"data": "", "format": "ogg"}}, "'wav' or 'mp3'"),
    ({"type": "file", "file": {}}, "takes one of file_data and file_id"),
    (file(file_id="file-1"), "takes one of file_data and file_id"),
    ({"type": "file", "file": {"file_data": "data:application/zip;base64,UEs="}}, "takes a data URL of a PDF"),
    ({"type": "file", "file": {"file_data": data_url("application/pdf", b"no")}}, "is not application/pdf"),
    ({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}, "takes a data URL of a PDF"),
    (file(filename=""), "at least 1 character"),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_a_part_is_kept_as_it_was_sent(part: dict[str, Any]) -> None:
    content = _CONTENT.validate_json(json.dumps([part]))

    assert json.loads(_CONTENT.dump_json(content)) == [part]
    assert has_media(content) == (part["type"] != "text")


@pytest.mark.parametrize(("part", "problem"), INVALID, ids=str)
def test_a_part_that_is_not_what_it_says_is_refused(part: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _CONTENT.validate_json(json.dumps([text(), part]))

    assert problem in str(caught.value)
    assert all(error["loc"][:2] == ("list of parts", 1) for error in caught.value.errors())


@given(st.binary(max_size=40), st.sampled_from(sorted(HEADS)))
def test_data_of_any_kind_is_accepted_or_refused_and_never_fails_otherwise(data: bytes, media_type: str) -> None:
    try:
        content = content_of({"type": "file", "file": {"file_data": data_url(media_type, data)}})
    except ValidationError:
        assert not data.startswith(HEADS[media_type])
    else:
        assert _CONTENT.validate_json(_CONTENT.dump_json(content)) == content


@given(st.text())
def test_any_text_is_its_own_text(content: str) -> None:
    assert content_text(content) == content
    assert content_bytes(content) == len(content.encode(errors="surrogatepass"))
    assert input_content(content) == content


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([text("one "), text("two")], "one two"),
        ([picture(), text("one "), text("two"), sound(), text("three")], "[picture]\none two\n[sound]\nthree"),
        ([picture(), picture()], "[picture]\n[picture]"),
        ([file(), file(filename="a.pdf")], "[file]\n[file a.pdf]"),
    ],
)
def test_the_text_of_parts_names_media_on_lines_of_their_own(parts: list[dict[str, Any]], expected: str) -> None:
    assert content_text(content_of(*parts)) == expected


def test_media_count_for_the_same_whatever_their_size_except_texts() -> None:
    large_text = {"type": "file", "file": {"file_data": data_url("text/csv", b"a,b\n" * 9000)}}

    assert content_bytes(content_of(text("é"), picture_of(90_000), sound())) == 2 + 2 * MEDIA_BYTES
    assert content_bytes(content_of(large_text)) == pytest.approx(36_000, rel=0.01)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (content_of(), "empty"),
        (content_of(text(" "), text("\n")), "empty"),
        ("x" * (MAX_TEXT_BYTES + 1), "text is larger than 256 KB"),
        (content_of(*[text("é" * (MAX_TEXT_BYTES // 4))] * 2, text("x")), "text is larger than 256 KB"),
        (content_of(*[text("x")] * (MAX_PARTS + 1)), "more than 64 parts"),
        (content_of(picture_of(MAX_CONTENT_BYTES)), "larger than 1024 KB"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 50 else "",
)
def test_a_content_that_is_blank_or_too_large_is_refused(content: Content, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_content(content)


@pytest.mark.parametrize(
    "content",
    [
        "x" * MAX_TEXT_BYTES,
        content_of(*[text("x" * (MAX_TEXT_BYTES // 2))] * 2),
        content_of(*[text("x")] * MAX_PARTS),
        content_of(text(" "), picture()),
        content_of(picture_of(MAX_CONTENT_BYTES - 200)),
    ],
    ids=["text", "texts", "parts", "blank", "picture"],
)
def test_a_content_at_its_limits_is_accepted(content: Content) -> None:
    check_content(content)


def test_the_size_of_parts_is_that_of_their_json() -> None:
    content = content_of(text("é"), picture())

    assert not isinstance(content, str)
    assert bytes_stored(content) == len(_CONTENT.dump_json(content))
