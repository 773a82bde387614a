"""Typed messages: the registry and a module for each family. Importing this package registers all of them."""

from protocol.messages import chat as chat
from protocol.messages import dispute as dispute
from protocol.messages import eph as eph
from protocol.messages import ext as ext
from protocol.messages import feed as feed
from protocol.messages import game as game
from protocol.messages import group as group
from protocol.messages import key as key
from protocol.messages import packet as packet
from protocol.messages import pay as pay
from protocol.messages import rank as rank
from protocol.messages import rcpt as rcpt
from protocol.messages import stake as stake
from protocol.messages import sync as sync
from protocol.messages import sys as sys
from protocol.messages.registry import REGISTRY as REGISTRY
from protocol.messages.registry import Body as Body
from protocol.messages.registry import Message as Message
from protocol.messages.registry import Unknown as Unknown
from protocol.messages.registry import compose as compose
from protocol.messages.registry import is_chat as is_chat
from protocol.messages.registry import parse as parse
from protocol.messages.registry import register as register
