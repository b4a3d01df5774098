"""What AWX makes of a survey's answers."""

from __future__ import annotations

from collections.abc import Mapping

import yaml


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("!unsafe", text))


def extravars(answers: Mapping[str, object]) -> str:
    """The file of variables that ansible-runner gets: text, names too, is marked as what is no template."""
    return "".join(yaml.dump({name: answer}, Dumper=_Dumper) for name, answer in answers.items())
