"""A bot that keeps the peace in groups where it is an admin: it warns, and at the third time it puts the sender out.

Admins say `/forbid WORD`, `/allow WORD` and `/pardon` (everybody).
"""

from clients.bot import Bot, command, from_admin, in_group
from protocol.messages.chat import Text

WARNINGS_MAX = 2

bot = Bot("moderation")


@bot.on(Text, in_group & from_admin & command("/forbid", "/allow", "/pardon"))
async def rule(message, args, reply, local):
    words, verb = set(local.get("words", [])), message.text.split()[0].lower()
    if verb == "/pardon":
        local["warnings"] = {}
    elif args:
        local["words"] = sorted(words | {args.lower()} if verb == "/forbid" else words - {args.lower()})
    await reply(f"forbidden here: {', '.join(local.get('words', [])) or 'nothing'}")


@bot.on(Text, in_group & ~from_admin)
async def judge(message, account, talk, reply, send, local, log):
    said = {word.strip(".,;:!?\"'()").lower() for word in message.text.split()}
    if not said & set(local.get("words", [])):
        return
    warnings = local.get("warnings", {})
    count = warnings.get(account.hex(), 0) + 1
    local["warnings"] = warnings | {account.hex(): count}
    if count <= WARNINGS_MAX:
        await reply(f"not here, please (warning {count} of {WARNINGS_MAX})")
    elif account in talk.members:
        log.info("putting %s out of %s", account.hex()[:8], talk.title)
        await talk.remove([account])
        await send("somebody was put out, after two warnings")


bot.run()
