"""``client.feed``: saying things in public, following people, and reading what they say in the order of the relay."""

from clients.feed.circle import Circle as Circle
from clients.feed.entries import Entry as Entry
from clients.feed.feed import Feed as Feed
from clients.feed.shown import Cursor as Cursor
from clients.feed.shown import Gap as Gap
from clients.feed.shown import Item as Item
