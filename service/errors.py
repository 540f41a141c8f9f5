"""The family of refusals. Each says in both languages what was got, what was wanted, and what would help.

KaopingError
  Invalid              the input breaks rules; carries all its faults at once
  NotFound             no such thing, or not for the caller to see
  AccessDenied         FORBIDDEN or UNAUTHENTICATED
    Throttled          too many tries to sign in
  IllegalState         ILLEGAL_STATE, DEADLINE_PASSED, WINDOW_CLOSED or UNIT_CLOSED
  VersionConflict      changed by another since it was read
  IdempotencyRefused   IDEMPOTENCY_KEY_REUSED or IDEMPOTENCY_IN_PROGRESS
  Unavailable          a part is away, or a lock did not come in time; try again
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from service.scoring.text import Text

Path = tuple[str, ...]


class ErrorCode(StrEnum):
    """The closed list of codes, the same in typed errors and in `extensions.code`."""

    INVALID = "INVALID"
    INVALID_ID = "INVALID_ID"
    INVALID_CURSOR = "INVALID_CURSOR"
    INVALID_DECIMAL = "INVALID_DECIMAL"
    INVALID_TEXT = "INVALID_TEXT"
    INVALID_DATETIME = "INVALID_DATETIME"
    INVALID_IDEMPOTENCY_KEY = "INVALID_IDEMPOTENCY_KEY"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    ILLEGAL_STATE = "ILLEGAL_STATE"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    WINDOW_CLOSED = "WINDOW_CLOSED"
    UNIT_CLOSED = "UNIT_CLOSED"
    DUPLICATE = "DUPLICATE"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    TOO_LARGE = "TOO_LARGE"
    THROTTLED = "THROTTLED"
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"


class KaopingError(Exception):
    """An expected refusal: an answer, not a crash."""

    def __init__(self, code: ErrorCode, text: Text, *, path: Path | None = None, hint: Text | None = None) -> None:
        super().__init__(text.en)
        self.code = code
        self.text = text
        self.path = path
        self.hint = hint or HINTS.get(code)


HINTS = {
    ErrorCode.INVALID: Text(
        zh="请修改所指之处后重新提交，本次没有写入任何内容。",
        en="Mend what the path points at and send it again; nothing was written.",
    ),
    ErrorCode.INVALID_TEXT: Text(
        zh="请改写所指之处的文字后重新提交。", en="Change the text that the path points at and send it again."
    ),
    ErrorCode.DUPLICATE: Text(
        zh="请改用另一个，或修改已有的那一个。", en="Choose another, or edit the one that exists."
    ),
    ErrorCode.FORBIDDEN: Text(
        zh="请由有权限的单位或人员办理，或联系本区系统管理员授权。",
        en="Leave it to those who may, or ask your district's administrator for a grant.",
    ),
    ErrorCode.ILLEGAL_STATE: Text(
        zh="请查看该对象当前所处的状态，再决定下一步。",
        en="Look at the state that the object is in now before going on.",
    ),
    ErrorCode.INVALID_CURSOR: Text(
        zh="请使用同一列表、同一条件下返回的游标。",
        en="Use a cursor that the same list gave under the same filter and order.",
    ),
    ErrorCode.TOO_LARGE: Text(zh="请分批提交或查询。", en="Send or ask for it in several parts."),
    ErrorCode.DEADLINE_PASSED: Text(zh="请联系考核办。", en="Ask the organiser."),
    ErrorCode.UNIT_CLOSED: Text(zh="请联系考核办。", en="Ask the organiser."),
}
"""What helps with a refusal that names no hint of its own: nobody is left with a code alone."""


@dataclass(frozen=True)
class Issue:
    """One fault of an input; the path begins with `input`."""

    code: ErrorCode
    path: Path
    text: Text
    hint: Text | None = None


class Invalid(KaopingError):
    """The input is refused as a whole; nothing was written. `issues` is never empty."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        first = issues[0]
        more = len(issues) - 1
        text = first.text
        if more:
            faults = "one more fault" if more == 1 else f"{more} more faults"
            text = Text(zh=f"{first.text.zh}（另有{more}处）", en=f"{first.text.en} ({faults})")
        super().__init__(first.code, text, path=first.path, hint=first.hint)
        self.issues = list(issues)


class NotFound(KaopingError):
    """Unknown, foreign and invisible ids answer alike."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            ErrorCode.NOT_FOUND,
            Text(zh="没有找到该对象，或者您无权查看。", en="There is no such object, or it is not for you to see."),
            path=path,
            hint=Text(zh="请核对编号是否取自本区的查询结果。", en="Take the id from a query of your own district."),
        )


@dataclass(frozen=True)
class Contact:
    """Who can help: a role at a unit; without one, in the whole district."""

    role: str
    unit_id: UUID | None = None
    display_name: str | None = None


class AccessDenied(KaopingError):
    """Seen, but not for this caller to do; tells which rule, and who may."""

    def __init__(
        self,
        text: Text,
        *,
        required_roles: Sequence[str] = (),
        contacts: Sequence[Contact] = (),
        path: Path | None = None,
        hint: Text | None = None,
        code: ErrorCode = ErrorCode.FORBIDDEN,
    ) -> None:
        super().__init__(code, text, path=path, hint=hint)
        self.required_roles = list(required_roles)
        self.contacts = list(contacts)


def unauthenticated(text: Text | None = None) -> AccessDenied:
    """No valid sign-in; one answer for all reasons that would help an attacker."""
    return AccessDenied(
        text or Text(zh="请先登录。", en="Sign in first."),
        code=ErrorCode.UNAUTHENTICATED,
        hint=Text(
            zh="用 signIn 取得令牌，以 Authorization: Bearer 令牌 发送。",
            en="Get a token with signIn and send it as Authorization: Bearer TOKEN.",
        ),
    )


class Throttled(AccessDenied):
    """Too many tries to sign in, by this name or in this district; `seconds` is how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            Text(zh="登录尝试过于频繁。", en="Too many tries to sign in."),
            path=("input",),
            code=ErrorCode.THROTTLED,
            hint=Text(
                zh=f"请在{seconds}秒后重试；忘记密码请联系本区系统管理员。",
                en=f"Try again in {seconds} {'second' if seconds == 1 else 'seconds'}; "
                "if the password is lost, ask your district's administrator.",
            ),
        )
        self.seconds = seconds


class IllegalState(KaopingError):
    """Not possible in the present state: which one, since when, what would make it possible, who can help."""

    def __init__(
        self,
        text: Text,
        *,
        code: ErrorCode = ErrorCode.ILLEGAL_STATE,
        state: str | None = None,
        legal_from: Sequence[str] = (),
        since: datetime | None = None,
        contacts: Sequence[Contact] = (),
        subject: tuple[str, UUID] | None = None,
        path: Path | None = None,
        hint: Text | None = None,
    ) -> None:
        super().__init__(code, text, path=path, hint=hint)
        self.state = state
        self.legal_from = list(legal_from)
        self.since = since
        self.contacts = list(contacts)
        self.subject = subject


@dataclass(frozen=True)
class Conflict:
    """One stale object: where its version stands in the input, and what it is now."""

    path: Path
    current_version: int
    type_name: str
    id: UUID


class VersionConflict(KaopingError):
    """Changed by another since it was read; nothing was written."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(
            ErrorCode.VERSION_CONFLICT,
            Text(
                zh=f"有{len(conflicts)}个对象在您读取之后已被他人修改。",
                en="Changed by another after you read it."
                if len(conflicts) == 1
                else f"{len(conflicts)} objects were changed by another after you read them.",
            ),
            path=conflicts[0].path,
            hint=Text(zh="请按最新内容核对后重新提交。", en="Look at the present state and send the change again."),
        )
        self.conflicts = list(conflicts)


class IdempotencyRefused(KaopingError):
    """The key was used with another input, or its twin is still running (retryable)."""

    def __init__(self, *, in_progress: bool) -> None:
        super().__init__(
            ErrorCode.IDEMPOTENCY_IN_PROGRESS if in_progress else ErrorCode.IDEMPOTENCY_KEY_REUSED,
            Text(zh="同一幂等键的请求正在处理。", en="A request with this key is still running.")
            if in_progress
            else Text(zh="该幂等键已用于另一份不同的输入。", en="This key was used with another input."),
            path=("input", "idempotencyKey"),
            hint=Text(zh="稍后用同一个键重试。", en="Try again with the same key in a moment.")
            if in_progress
            else Text(zh="新的操作请换一个新的键。", en="Choose a new key for a new operation."),
        )
        self.retryable = in_progress


class Unavailable(KaopingError):
    """A part is away or a lock did not come in time; the same request may succeed later.

    `lost` is a connection that was lost, maybe in the middle of the commit: nobody knows what became of that.
    """

    def __init__(self, *, lost: bool = False) -> None:
        super().__init__(
            ErrorCode.UNAVAILABLE,
            Text(
                zh="服务暂时不可用，本次操作是否写入尚不确定。",
                en="The service is not available at the moment; whether this was written is not known.",
            )
            if lost
            else Text(zh="服务暂时繁忙，本次操作没有写入。", en="The service is busy; nothing was written."),
            hint=Text(zh="请稍后用同一个幂等键重试。", en="Try again in a moment with the same idempotency key."),
        )


@dataclass
class Issues:
    """Faults of an input as they are found; `raise_any` refuses with all of them at once."""

    found: list[Issue] = field(default_factory=list)

    def add(self, code: ErrorCode, path: Path, text: Text, hint: Text | None = None) -> None:
        """Note one fault."""
        self.found.append(Issue(code, path, text, hint or HINTS.get(code)))

    def raise_any(self) -> None:
        """Raise Invalid where there is any fault."""
        if self.found:
            raise Invalid(self.found)
