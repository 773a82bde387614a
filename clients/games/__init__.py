"""``client.games``: offering, playing and watching games, and checking the referee at every step."""

from clients.games.following import Position as Position
from clients.games.games import GameError as GameError
from clients.games.games import Games as Games
from clients.games.records import Record as Record
from clients.games.records import State as State
