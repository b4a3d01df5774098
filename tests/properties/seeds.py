"""Bad inputs that have hurt somebody, as seeds, and values of every kind that a YAML or JSON file can hold."""

from __future__ import annotations

from hypothesis import strategies as st

TEXTS = (
    "", "-oProxyCommand=x", "a b", "x;rm", "$(id)", "gate\n", "gate\0", "h" * 254, "bücher.example", "\u202eetag",
    "root", "-l", "../x", "a..b", "abc", "-1", "22.5", "true", "08888", "02222", "notes", "~other", "~", "~/",
    "/a\nb", "{{ lookup('pipe', 'id') }}", "`id`", "it's", '"', "\\", "/caf\udce9", "elevenchars",
    " outer space kept ", "schlu\u0308sselbrett", "argon2:garbage", "argon2:", "$argon2id$", "sha1:aa:bb",
    "$2b$12$x", "$6$salt$x", "1:60", "0", "forever", "99:00:00", "1-00:00:00", "\u0661:00:00", "10 GB", "10G",
    "--wrap=id", "--export=ALL,SECRET", "--", "-", "-o", "100%j", "x" * 65, "slrum", "12_3", "12+1", "12.0",
    "17;cori", "99999999", "=cmd", "\ufeffx", "x\r", "//x", "..", "/../", "SHA256:" + "A" * 43, "SHA256:not base64",
    "MD5:" + ":".join(["aa"] * 16), "localhost", "::1", "None", "null", "%h", "gate:22", "bob@gate:2201", "@", ":",
    "a@b@c", "[::1]:22", "9" * 30,
)  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(max_size=40)
numbers = st.integers(-(10**20), 10**20) | st.floats() | st.sampled_from([0, 1, 22, 70000, -1, 22.5])
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
"""What a variable may hold."""


def cut_or_changed(whole: str, alphabet: str) -> st.SearchStrategy[str]:
    """``whole`` after some damage: cut off, with a piece missing, twice, or replaced by other characters."""
    place = st.integers(0, len(whole))
    damage = st.tuples(place, place, st.text(alphabet, max_size=6))
    return st.lists(damage, min_size=1, max_size=3).map(lambda all_: _damaged(whole, all_))


def _damaged(text: str, damages: list[tuple[int, int, str]]) -> str:
    for first, last, new in damages:
        text = text[:first] + new + (text[last:] if new != "" or last > first else "")
    return text
