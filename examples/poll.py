"""A bot that asks: `/poll` begins a dialog, people vote with their client's buttons, `/result` counts."""

from clients.bot import Bot, command, in_state
from protocol.messages.chat import Poll, Text, Vote

bot = Bot("poll")


@bot.on(Text, command("/poll"))
async def begin(state, reply):
    state.set("question")
    await reply("What is the question?")


@bot.on(Text, in_state("question"))
async def question(message, state, reply):
    state.set("options", question=message.text)
    await reply("What are the options? Separate them by commas.")


@bot.on(Text, in_state("options"))
async def options(message, state, reply, send, local):
    found = [part.strip() for part in message.text.split(",") if part.strip()]
    if not 2 <= len(found) <= 20:
        await reply("A poll has 2 to 20 options. Separate them by commas.")
        return
    poll = Poll(question=state.data["question"], options=tuple(found))
    local["poll"] = {"id": await send(poll), "question": poll.question, "options": found, "votes": {}}
    state.clear()


@bot.on(Vote)
async def vote(message, body, local):
    poll = local.get("poll")
    if poll is not None and message.re == poll["id"] and len(body.choices) <= 1:
        poll["votes"][message.account.hex()] = [choice for choice in body.choices if choice < len(poll["options"])]
        local["poll"] = poll


@bot.on(Text, command("/result"))
async def result(reply, local):
    poll = local.get("poll")
    if poll is None:
        await reply("There is no poll; /poll begins one.")
        return
    counts = [sum(number in choices for choices in poll["votes"].values()) for number in range(len(poll["options"]))]
    lines = [f"{option}: {count}" for option, count in zip(poll["options"], counts, strict=True)]
    await reply("\n".join([poll["question"], *lines]))


bot.run()
