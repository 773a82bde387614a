from clients.bot import Bot
from protocol.messages.chat import Text

bot = Bot("echo")


@bot.on(Text)
async def echo(message, reply):
    await reply(message.text)


bot.run()
