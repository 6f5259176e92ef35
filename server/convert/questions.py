"""Convert between GetQuestions's messages and the engine's records."""

from behaviour.questions import MAX_QUESTIONS
from search.request import QuestionsRequest
from search.result import Questions
from server.convert.common import COMPLETE, filter_of, stage_messages
from server.convert.items import item_message
from server.convert.people import context_record
from shortlist.v1 import recommend_service_pb2


def questions_request(
    message: recommend_service_pb2.GetQuestionsRequest, deadline: float | None
) -> QuestionsRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return QuestionsRequest(
        page_size=min(message.page_size, MAX_QUESTIONS) or QuestionsRequest.page_size,
        filter=filter_of(message),
        context=context_record(message.context),
        deadline=deadline,
    )


def questions_response(
    found: Questions, bundle_id: str
) -> recommend_service_pb2.GetQuestionsResponse:
    """Convert questions to a response."""
    return recommend_service_pb2.GetQuestionsResponse(
        questions=[
            recommend_service_pb2.Question(
                item=item_message(question.item, None), information=question.information
            )
            for question in found.questions
        ],
        bundle_id=bundle_id,
        stages=stage_messages(found.stages),
        coverage=COMPLETE,
    )
