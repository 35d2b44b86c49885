"""Exports: complete, the same from every store, and verifiable with the public key alone."""

import csv
import io
import json
import os
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from api.composition import open_service
from api.export.cells import json_cell, json_of, plain
from api.export.check import ExportReport, check_export
from api.export.export import SIGNED, ExportSource, export, export_text
from api.export.formats import FIELDS, FORMATS, FirstCsv, Format
from api.use_cases.service import Service
from api.wire.audit import AuditEntryModel, audit_entry_json
from api.wire.fields import iso
from domain.errors import ChainBroken, ExportBroken, ProjectionBehind
from domain.ticket.commands import ImportTicket
from domain.ticket.events import LegacyRecordQuarantined, Recorded
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import SigningKey, signing_key_of
from infrastructure.log.codec import encode
from projections.audit.projection import entry_of
from projections.audit.search import AuditFilter
from projections.versions.parked import parked_in, skip
from tests.support.command import COMMAND, run
from tests.support.server import until
from tests.support.stories import (
    ACME,
    FOREMAN,
    GLOBEX,
    START,
    change,
    create,
    created,
    id_,
    imported,
    quarantine,
    rename,
    restore,
    retire,
)
from tests.support.view_rows import open_store

SECRET: Final = "long enough for a test: 0123456789abcdef"
CHANGES: Final = 5_000
"""Single changes to an export, in each of the two formats."""

ODD: Final = '=1+2, "quoted", \u2028 and \\n\r\nanother line'


@pytest.fixture(params=list(FORMATS))
def style(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    path = tmp_path_factory.mktemp("key") / "store.db"
    return signing_key_of(load_settings({"TICKETBOOK_STORE": f"sqlite:///{path}"}))


@pytest.fixture
def service(store_url: str) -> Iterator[Service]:
    """Some of everything that can happen, in two organisations."""
    environment = {"TICKETBOOK_STORE": store_url, "TICKETBOOK_AUTH_SECRET": SECRET}
    with open_service(load_settings(environment)) as opened:
        write = opened.writer.execute
        write(create(), rename("Chief"), change("get_all"), retire(), restore())
        for number in range(1, 15):
            org_id = GLOBEX if number % 3 else ACME
            write(create(id_(number), org_id=org_id, features=("get_all",)))
        odd = rename('-"Chef", der', id_(3))
        write(replace(odd, origin=replace(odd.origin, reason=ODD)))
        write(quarantine(id_(50)))
        position = write(ImportTicket(id_(51), imported())).position
        assert opened.projections["audit"].live_version.progress.wait(position, 10)
        yield opened


ALL: Final = AuditFilter(org_id=None)


def exporting(
    service: Service, key: SigningKey, style: Format, where: AuditFilter = ALL
) -> ExportSource:
    live = service.projections["audit"].live_version
    skipped = service.projections["audit"].versions.skipped
    return ExportSource(
        view=live.view,
        log=service.log,
        key=key,
        where=where,
        style=style,
        began=START,
        skipped=skipped,
    )


def check(content: bytes, key: SigningKey) -> ExportReport:
    """As from a file."""
    *whole, rest = content.split(b"\n")
    lines = [line + b"\n" for line in whole] + ([rest] if rest else [])
    return check_export(lines, key.public)


def broken_at(content: bytes, key: SigningKey) -> int:
    with pytest.raises(ExportBroken) as broken:
        check(content, key)
    return broken.value.line


def test_an_audit_entry_has_the_same_fields_in_the_code_on_the_wire_and_in_an_export() -> None:
    """`AuditEntry` names them; an export's order of columns is frozen, so it has its own list."""
    entry = entry_of(None, Recorded(1, id_(1), 1, START, created()))
    body = audit_entry_json(entry)
    of_imports = ["repairs", "unknownFeatures"]  # the log alone knows those
    assert [*body, *of_imports] == list(AuditEntryModel.model_fields)
    assert list(audit_entry_json(entry, imported())) == [*body, *of_imports]
    assert [*body, "previous", "event"] == list(FIELDS)
    assert [_camel(field.name) for field in fields(entry)] == list(body)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def test_an_export_holds_every_entry_and_is_what_was_signed(
    service: Service, key: SigningKey, style: Format
) -> None:
    content = b"".join(export(exporting(service, key, style)))
    everything = service.audit.view.search(
        AuditFilter(org_id=None), beyond=None, limit=99, newest_first=False
    )

    checked = check(content, key)

    assert checked.entries == len(everything) == service.log.head()
    assert checked.head == service.log.ending()
    lines = content.removeprefix(style.begin).split(b"\n")[:-2]
    shown = [style.fields(line + b"\n") for line in lines]
    assert [one["hash"] for one in shown] == [entry.hash for entry in everything]
    assert [one["event"].encode() for one in shown] == [
        stored.state for stored in service.log.between(0, checked.entries).values()
    ]
    if style.name == "ndjson":
        for one, entry in zip(shown, everything, strict=True):
            assert one == json.loads(json.dumps(audit_entry_json(entry) | _beside(one)))


def _beside(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in ("previous", "event")}


def test_a_csv_line_is_one_line_and_no_formula(service: Service, key: SigningKey) -> None:
    content = b"".join(export(exporting(service, key, FORMATS["csv"]))).decode()
    header, *lines, last = content.splitlines()  # at whatever Unicode takes for a line end
    assert header == "\ufeff" + ",".join(f'"{name}"' for name in FIELDS)
    assert last.startswith('#head,"{')
    assert len(lines) == service.log.head()
    (odd,) = (line for line in lines if "quoted" in line)
    assert '"\'=1+2, ""quoted"", \\u2028 and \\n\\r\\nanother line"' in odd


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *((f"{sign}1", f"'{sign}1") for sign in "=+-@'\t\uff1d\uff0b\uff0d\uff20\ufe62\ufe66"),
        *((f"{blank}=1", f"'{blank}=1") for blank in " \xa0\u200b\ufeff\u3000\u202e\t\x7f"),
        *((f"a{end}b", f"a\\u{ord(end):04x}b") for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
        *(
            (text, text)
            for text in ("", "a=1", "1-2", "\u0645\u0634\u063a\u0644", " a", "\u4e00\uff1d")
        ),
        ("\u2028=1\r\n", "'\\u2028=1\\r\\n"),
    ],
    ids=ascii,
)
def test_a_spreadsheet_shows_a_cell_as_text_in_one_line(text: str, cell: str) -> None:
    assert plain(text) == cell
    assert len(cell.splitlines()) == (1 if cell else 0)


@pytest.mark.parametrize("text", ["\u2028", "\\\\u2028", "\\\\\u2029", "a\x85\\\\u0085\\n", '"'])
def test_an_event_comes_back_from_its_cell_to_the_byte(text: str) -> None:
    for event in (text, f'{{"a":"{text}"}}'):
        assert len(json_cell(event).splitlines()) == 1
        assert json_of(json_cell(event)) == event


@pytest.mark.parametrize("store", ["sqlite"])
def test_the_first_csv_is_still_what_was_signed(service: Service, key: SigningKey) -> None:
    content = b"".join(export(exporting(service, key, FirstCsv())))
    assert b'""version"":2' in content.split(b"\n")[-2]
    assert check(content, key).entries == service.log.head()


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_export_that_another_program_wrote_again_is_no_accusation(
    service: Service, key: SigningKey
) -> None:
    first, now, lines = (
        b"".join(export(exporting(service, key, style)))
        for style in (FirstCsv(), FORMATS["csv"], FORMATS["ndjson"])
    )
    mark = b"\xef\xbb\xbf"
    again = [content.replace(b"\n", b"\r\n") for content in (first, now, lines)]
    again += [mark + first, mark + lines, now.removeprefix(mark), lines.decode().encode("utf-16")]
    again += [now.removeprefix(mark).replace(b'"', b"", 2 * len(FIELDS))]
    rows = [next(csv.reader([line.decode("utf-8-sig")])) for line in now.split(b"\n")[:-1]]
    quoted = io.StringIO()
    csv.writer(quoted, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    for content in (*again, quoted.getvalue().encode()):
        with pytest.raises(ExportBroken, match="written again by another program"):
            check(content, key)


@pytest.mark.parametrize(
    "where",
    [
        AuditFilter(org_id=GLOBEX),
        AuditFilter(org_id=None, ticket_id=FOREMAN),
        AuditFilter(org_id=None, action="ticket.renamed"),
        AuditFilter(org_id=None, text="QUOTED"),
        AuditFilter(org_id=None, since_position=4, before_position=9),
        AuditFilter(org_id=None, actor="nobody"),
        AuditFilter(org_id=None, since=START),
    ],
    ids=str,
)
@pytest.mark.parametrize("dense", [1, 1_000], ids=["one by one", "in a row"])
def test_a_filtered_export_is_verifiable_by_itself(
    service: Service,
    key: SigningKey,
    style: Format,
    where: AuditFilter,
    dense: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.export.export._DENSE", dense)
    matching = service.audit.view.search(where, beyond=None, limit=99, newest_first=False)

    content = b"".join(export(exporting(service, key, style, where)))

    assert check(content, key).entries == len(matching)
    for entry in matching:
        assert entry.hash.encode() in content


def test_what_is_appended_meanwhile_is_left_out(
    service: Service, key: SigningKey, style: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.export.export.PAGE", 5)
    ending = service.log.ending()
    pieces = export(exporting(service, key, style))
    begun = [next(pieces), next(pieces)]
    position = service.writer.execute(create(id_(70))).position
    assert service.projections["audit"].live_version.progress.wait(position, 10)

    checked = check(b"".join([*begun, *pieces]), key)
    assert (checked.head, checked.entries) == (ending, ending.position)


@pytest.mark.parametrize("store", ["sqlite"])
def test_ten_thousand_single_changes_are_all_found(
    service: Service, key: SigningKey, style: Format
) -> None:
    """Half in each format. A change is found at its line, or else at the head: never later."""
    content = b"".join(export(exporting(service, key, style)))
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    random.seed(style.name)
    kinds: list[Callable[[list[bytes]], int]] = [_flip, _flip, _flip, _drop, _swap, _cut, _double]
    check(content, key)
    for number in range(CHANGES):
        changed = list(lines)
        kind = kinds[number % len(kinds)]
        first = kind(changed)
        altered = b"".join(changed)
        if altered == content:
            continue  # two lines that are the same, swapped
        found = broken_at(altered, key)
        assert first <= found <= len(lines) + 1, (kind, number)


def _flip(lines: list[bytes]) -> int:
    """One bit, anywhere."""
    line = random.randrange(len(lines))
    changed = bytearray(lines[line])
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    lines[line] = bytes(changed)
    return line + 1


def _drop(lines: list[bytes]) -> int:
    line = random.randrange(len(lines))
    del lines[line]
    return line + 1


def _swap(lines: list[bytes]) -> int:
    one, other = sorted(random.sample(range(len(lines)), 2))
    lines[one], lines[other] = lines[other], lines[one]
    return one + 1


def _cut(lines: list[bytes]) -> int:
    """From some byte on, everything."""
    line = random.randrange(len(lines))
    lines[line] = lines[line][: random.randrange(len(lines[line]))]
    del lines[line + 1 :]
    return line + 1


def _double(lines: list[bytes]) -> int:
    line = random.randrange(len(lines))
    lines.insert(line, lines[line])
    return line + 1


@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("actor", "eve"),
        ("action", "ticket.retired"),
        ("ticketId", id_(9)),
        ("version", 7),
        ("position", 30),
        ("orgId", ACME[::-1]),
        ("reason", "none"),
        ("recordedAt", "2020-01-01T00:00:00.000Z"),
        ("after", {"name": "Chief", "features": ["all"], "retired": False}),
        ("granted", ["all"]),
        ("hash", "00" * 32),
        ("previous", "00" * 32),
        ("event", "{}"),
    ],
)
def test_a_liar_with_the_key_must_still_show_what_was_hashed(
    service: Service, key: SigningKey, field: str, said: object
) -> None:
    content = b"".join(export(exporting(service, key, FORMATS["ndjson"])))
    lines = content.split(b"\n")[:-2]
    changed = json.loads(lines[9]) | {field: said}
    lines[9] = json.dumps(changed, separators=(",", ":"), ensure_ascii=False).encode()
    assert broken_at(signed_again(lines, content, key), key) == 10
    assert check(signed_again(content.split(b"\n")[:-2], content, key), key)


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_liar_with_the_key_leaves_nothing_out(service: Service, key: SigningKey) -> None:
    content = b"".join(export(exporting(service, key, FORMATS["ndjson"])))
    lines = content.split(b"\n")[:-2]
    assert broken_at(signed_again(lines[:-1], content, key), key) == len(lines)
    assert broken_at(signed_again(lines[1:], content, key), key) == len(lines)
    assert broken_at(signed_again([*lines[:3], *lines[4:]], content, key), key) == len(lines)


def signed_again(lines: list[bytes], content: bytes, key: SigningKey) -> bytes:
    body = b"".join(line + b"\n" for line in lines)
    head = json.loads(content.split(b"\n")[-2])["head"]
    head |= {"entries": len(lines), "sha256": sha256(body).hexdigest()}
    head |= {"signature": key.sign(export_text(head))}
    return body + FORMATS["ndjson"].head(head)


@pytest.mark.parametrize("store", ["sqlite"])
def test_every_part_of_the_head_is_signed(service: Service, key: SigningKey) -> None:
    content = b"".join(export(exporting(service, key, FORMATS["ndjson"])))
    lines = content.split(b"\n")[:-2]
    head = json.loads(content.split(b"\n")[-2])["head"]
    assert list(head) == [*SIGNED, "key", "signature"]
    counts = {"position": 1, "entries": 0, "version": 1, "parked": 1, "skipped": 1}
    others: dict[str, Any] = {**counts, "filter": {"actor": "ada"}}
    for name in SIGNED:
        forged = head | {name: others.get(name, "other")}
        body = b"".join(line + b"\n" for line in lines)
        assert broken_at(body + FORMATS["ndjson"].head(forged), key) == len(lines) + 1
    assert broken_at(content + b"\n", key) == len(lines) + 2
    assert broken_at(b"", key) == 1


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_head_whose_parts_are_of_other_types_is_not_what_was_signed(
    service: Service, key: SigningKey, style: Format
) -> None:
    """The signed text alone would be the same for many of them."""
    content = b"".join(export(exporting(service, key, style)))
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    head = style.read_head(lines[-1])
    assert head and check(b"".join([*lines[:-1], style.head(head)]), key)
    for name, value in head.items():
        others = [retyped for retyped in retypings(value) if repr(retyped) != repr(value)]
        assert len(others) > 4
        for other in others:
            forged = b"".join([*lines[:-1], style.head(head | {name: other})])
            assert broken_at(forged, key) == len(lines), (name, other)


def retypings(value: Any) -> Iterator[Any]:
    """The value in every other type that JSON has, as near to it as can be."""
    yield from (None, False, True, [value], {"": value}, [], {}, "", 0, 0.0)
    yield value if isinstance(value, str) else json.dumps(value)
    with suppress(TypeError, ValueError):
        yield from (int(value), float(value), bool(value))
    if isinstance(value, dict):
        yield list(value.items())


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_export_of_the_first_version_is_still_what_was_signed(
    service: Service, key: SigningKey, style: Format
) -> None:
    style = FirstCsv() if style.name == "csv" else style
    content = b"".join(export(exporting(service, key, style)))
    body, last = content[: content[:-1].rindex(b"\n") + 1], content.split(b"\n")[-2]
    head = style.read_head(last + b"\n")
    assert head
    del head["skipped"]
    head |= {"version": 1}
    head |= {"signature": key.sign(export_text(head))}

    checked = check(body + style.head(head), key)

    assert (checked.entries, checked.skipped) == (service.log.head(), 0)


def test_an_export_tells_how_many_events_the_audit_log_passes_over(
    service: Service, key: SigningKey, style: Format, store_url: str
) -> None:
    audit, head = service.projections["audit"], service.log.head()
    renamed = service.log.histories([FOREMAN])[FOREMAN][1]
    damaged = replace(encode(replace(renamed, position=head + 1, version=6)), state=b"damaged")
    with open_store(store_url) as opened:
        opened.log.commit(head, [damaged])
    position = service.writer.execute(create(id_(70))).position
    until(lambda: bool(parked_in(audit)))
    assert audit.live_version.progress.wait(position, 10)
    checked = check(b"".join(export(exporting(service, key, style))), key)
    assert (checked.entries, checked.parked, checked.skipped) == (position - 1, 1, 0)

    skip(audit, FOREMAN, "cli:ada", "damaged", "operator", lambda: START)

    until(lambda: not parked_in(audit))
    for where, entries in ((ALL, position - 1), (AuditFilter(org_id=None, actor="nobody"), 0)):
        checked = check(b"".join(export(exporting(service, key, style, where))), key)
        assert (checked.entries, checked.parked, checked.skipped) == (entries, 0, 1)
        assert checked.filter == ({"actor": "nobody"} if where.actor else {})
        assert checked.exported_at == iso(START)
    assert checked.head == service.log.ending()


def test_what_is_not_an_export_is_said_to_be_none(key: SigningKey) -> None:
    for content in (b"\n", b"{}\n", b"[" * 100_000, b"\xff\xfe", b'{"head":[]}\n', b"#head,\n"):
        assert broken_at(content, key) == 1


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_log_that_was_changed_is_never_signed(
    service: Service, key: SigningKey, style: Format, store_url: str
) -> None:
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET state = replace(state, 'ada', 'eve')")
        connection.execute("UPDATE events SET state = CAST(state AS BLOB) WHERE position > 1")
        connection.commit()
    with pytest.raises(ChainBroken, match="Position 1:"):
        list(export(exporting(service, key, style)))


def test_a_version_that_is_dropped_meanwhile_is_no_complete_export(
    service: Service, key: SigningKey, style: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.export.export.PAGE", 5)
    asked = exporting(service, key, style)
    pieces = export(asked)
    next(pieces)
    monkeypatch.setattr(type(asked.view), "checkpoint", lambda self: 0)
    with pytest.raises(ProjectionBehind, match="Export again"):
        list(pieces)


def test_an_event_of_many_bytes_goes_through_both_formats(
    service: Service, key: SigningKey, style: Format
) -> None:
    asked = quarantine(id_(80))
    large = LegacyRecordQuarantined(
        asked.quarantined.origin, asked.quarantined.source, "large", '{"a":"' + "x" * 300_000
    )
    position = service.writer.execute(replace(asked, quarantined=large)).position
    assert service.projections["audit"].live_version.progress.wait(position, 10)
    assert check(b"".join(export(exporting(service, key, style))), key).entries == position


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_auditor_needs_the_file_and_the_key_and_nothing_else(
    service: Service, store_url: str, tmp_path: Path, style: Format
) -> None:
    exported, public = tmp_path / "exported", tmp_path / "ticketbook.pub"
    public.write_text(run("audit", "key", store=store_url)[1])
    code, out, _ = run("audit", "export", "--format", style.name, "--org", ACME, store=store_url)
    exported.write_bytes(out.encode())
    asked = ("audit", "verify", "--export", str(exported), "--key", str(public))
    code, out, err = run(*asked, TICKETBOOK_STORE="mongodb://127.0.0.1:9/none")
    hashed = service.log.ending().hash.hex()
    assert (code, out.splitlines()[0]) == (0, f"position 22 hash {hashed}"), err
    assert f"only: org_id={ACME}; exported 20" in out
    assert "; 0 tickets were parked, 0 events skipped\n" in out
    said = json.loads(run(*asked, "--json")[1])
    assert (said["hash"], said["filter"]) == (hashed, {"org_id": ACME})
    assert (said["parked"], said["skipped"], said["exportedAt"][:2]) == (0, 0, "20")

    exported.write_bytes(exported.read_bytes().replace(b"ada", b"eve", 1))
    code, _, err = run(*asked)
    assert (code, f"Line {1 + bool(style.begin)}:" in err) == (1, True)
    assert run("audit", "verify", "--export", str(exported))[0] == 2


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_export_signed_with_another_key_names_both(
    service: Service, key: SigningKey, style: Format
) -> None:
    other = signing_key_of(service.settings)
    content = b"".join(export(exporting(service, other, style)))
    with pytest.raises(ExportBroken) as broken:
        check(content, key)
    assert f"names the key {other.public.name}, yours is {key.public.name}" in str(broken.value)


@pytest.mark.parametrize("store", ["sqlite"])
def test_who_reads_only_the_beginning_gets_no_traceback(service: Service, store_url: str) -> None:
    """And the exit code says that the export was not finished."""
    environment = {**os.environ, "TICKETBOOK_STORE": store_url}
    piped = f"{COMMAND} audit export | head -c 10; exit ${{PIPESTATUS[0]}}"
    for number in range(200, 300):  # more than a pipe holds
        service.writer.execute(create(id_(number)))
    position = service.log.head()
    assert service.projections["audit"].live_version.progress.wait(position, 10)
    done = subprocess.run(["bash", "-c", piped], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, '{"position')
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
