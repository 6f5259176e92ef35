"""The recall channels, one file each, and the combination of their scores."""

from search.channels.base import Channel
from search.channels.dense import DenseChannel
from search.channels.lexical import LexicalChannel

# All channels, in the order in which results list them.
CHANNELS: tuple[type[Channel], ...] = (DenseChannel, LexicalChannel)
