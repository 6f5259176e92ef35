"""The recall channels, one file each, and the combination of their scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from search.channels.base import Channel
from search.channels.dense import DenseChannel
from search.channels.lexical import LexicalChannel

if TYPE_CHECKING:
    ChannelTypes: TypeAlias = Sequence[type[Channel]]
else:  # the type checks in tests cannot check classes of a protocol that has attributes
    ChannelTypes: TypeAlias = Sequence[type]

# All channels, in the order in which results list them.
CHANNELS: ChannelTypes = (DenseChannel, LexicalChannel)
