"""Unmanaged models of the vault's tables and dashboards. They are read; only SQL functions write the
vault."""

from __future__ import annotations

from .access import Access
from .activity import LockActivity, LockActivityHub
from .alerts import Alert, AlertEvent, AlertEventVersion, AlertMessage, AlertVersion
from .analysis import LockWaitAnalysis, LockWaitAnalysisHub
from .api_token import ApiToken
from .base import ReadOnlyError, VaultModel
from .blocking import BlockingSession, BlockingSessionHub, LockBlockingLink
from .dashboards import (
    BlockingSessionsDashboard,
    DeadlockEventsDashboard,
    LockActivityDashboard,
    LockWaitAnalysisDashboard,
)
from .deadlock import DeadlockEvent, DeadlockEventHub, DeadlockInvolvementLink
from .door import ActionLog, Policy, PolicyBacktest, PolicyDecision
from .monitor_state import MonitorState
from .platform import Tenant
from .report import PastReport

__all__ = [
    "Access",
    "ActionLog",
    "Alert",
    "AlertEvent",
    "AlertEventVersion",
    "AlertMessage",
    "AlertVersion",
    "ApiToken",
    "BlockingSession",
    "BlockingSessionHub",
    "BlockingSessionsDashboard",
    "DeadlockEvent",
    "DeadlockEventHub",
    "DeadlockEventsDashboard",
    "DeadlockInvolvementLink",
    "LockActivity",
    "LockActivityDashboard",
    "LockActivityHub",
    "LockBlockingLink",
    "LockWaitAnalysis",
    "LockWaitAnalysisDashboard",
    "LockWaitAnalysisHub",
    "MonitorState",
    "PastReport",
    "Policy",
    "PolicyBacktest",
    "PolicyDecision",
    "ReadOnlyError",
    "Tenant",
    "VaultModel",
]
