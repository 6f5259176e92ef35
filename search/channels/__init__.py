"""The recall channels, one file each, and the combination of their scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from search.channels.also_bought import AlsoBoughtChannel
from search.channels.base import Channel
from search.channels.dense import DenseChannel
from search.channels.history import HistoryChannel
from search.channels.lexical import LexicalChannel
from search.channels.popular import PopularChannel
from search.channels.repeat import RepeatChannel
from search.channels.user_tower import UserTowerChannel

if TYPE_CHECKING:
    ChannelTypes: TypeAlias = Sequence[type[Channel]]
else:  # the type checks in tests cannot check classes of a protocol that has attributes
    ChannelTypes: TypeAlias = Sequence[type]

# All channels, in the order in which results list them.
SEARCH_CHANNELS: ChannelTypes = (DenseChannel, LexicalChannel)
PERSONAL_CHANNELS: ChannelTypes = (
    AlsoBoughtChannel,
    HistoryChannel,
    PopularChannel,
    RepeatChannel,
    UserTowerChannel,
)
CHANNELS: ChannelTypes = (*SEARCH_CHANNELS, *PERSONAL_CHANNELS)
