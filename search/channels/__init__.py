"""The recall channels, one file each, and how their scores are combined."""

from search.channels.base import Channel
from search.channels.dense import DenseChannel
from search.channels.lexical import LexicalChannel

# Every channel, in the order in which results name them.
CHANNELS: tuple[type[Channel], ...] = (DenseChannel, LexicalChannel)
