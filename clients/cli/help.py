"""What ``/help`` shows in ``chappe chat``."""

from __future__ import annotations

from typing import Final

HELP: Final = """\
[bold]/add[/] NAME            find somebody by handle and keep them as a contact
[bold]/verify[/] NAME         show the safety number; [bold]/verified[/] NAME once you compared it
[bold]/to[/] NAME             talk to a contact, or in a group
[bold]/group[/] TITLE NAME…   start a group
[bold]/invite[/] NAME…  [bold]/remove[/] NAME…  [bold]/leave[/]  [bold]/rotate[/]   change the group you are in
[bold]/mute[/] [30m|8h|2d]  [bold]/unmute[/]   show messages of this conversation only while you are in it
[bold]/send[/] PATH  [bold]/save[/] N|ID [PATH]   send a file; save one that was sent here
[bold]/report[/] N [+K] REASON [TEXT]   show message #N (and K before it) to the operator, with proof of who said it
[bold]/who[/]                  who is here; [bold]/presence[/] online|away|hidden   what others see of you
[bold]/list[/]  [bold]/contacts[/]  [bold]/history[/] [N]  [bold]/handle[/] NAME  [bold]/help[/]  [bold]/quit[/]
Anything else is sent to the conversation you are in. Marks: [dim]… sending   ✓ stored   ✓✓ delivered[/]"""
