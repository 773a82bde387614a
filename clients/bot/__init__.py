"""Bots in ten lines: handlers by message type, in order, exactly once, with dialogs, timers and dead letters."""

from clients.bot.bot import Bot as Bot
from clients.bot.bot import load_bots as load_bots
from clients.bot.errors import BotError as BotError
from clients.bot.filters import Filter as Filter
from clients.bot.filters import command as command
from clients.bot.filters import contains as contains
from clients.bot.filters import from_account as from_account
from clients.bot.filters import from_admin as from_admin
from clients.bot.filters import from_contact as from_contact
from clients.bot.filters import from_verified as from_verified
from clients.bot.filters import in_group as in_group
from clients.bot.filters import in_pair as in_pair
from clients.bot.filters import in_state as in_state
from clients.bot.filters import matches as matches
from clients.bot.filters import mentions_me as mentions_me
from clients.bot.filters import text as text
from clients.bot.incoming import Incoming as Incoming
