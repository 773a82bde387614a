"""A bot that reminds: `/remind 90 tea` says "tea" in 90 minutes, also if the bot was restarted meanwhile."""

from clients.bot import Bot, command
from protocol.messages.chat import Text

bot = Bot("reminder")


@bot.on(Text, command("/remind"))
async def remind(args, account, reply, later, local):
    minutes, _, what = args.partition(" ")
    if not minutes.isdigit() or not what:
        await reply("say /remind MINUTES WHAT")
        return
    number = local.get("count", 0) + 1
    local["count"] = number
    timer = later("ring", minutes=int(minutes), data={"number": number, "what": what})
    local[f"reminder {number}"] = {"what": what, "timer": timer}
    await reply(f"{number}: {what}, in {minutes} minutes")


@bot.on(Text, command("/forget"))
async def forget(args, reply, later, local):
    found = local.pop(f"reminder {args}", None)
    if found is not None:
        later.cancel(found["timer"])
    await reply(f"forgot {found['what']}" if found else "there is no such reminder")


@bot.on(Text, command("/list"))
async def show(reply, local):
    waiting = [f"{name.removeprefix('reminder ')}: {local[name]['what']}" for name in local if name != "count"]
    await reply("\n".join(waiting) or "nothing to remind of")


@bot.on_timer("ring")
async def ring(data, send, local):
    local.pop(f"reminder {data['number']}", None)
    await send(data["what"])


bot.run()
