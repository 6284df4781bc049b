"""Campaigns as the command line and the office's API show them; none holds digits."""

from vending.campaigns.model import OUTSTANDING_STEPS, Campaign, CampaignMeter, Outlook
from vending.campaigns.rules import filter_document, target_document
from vending.campaigns.service.planning import DryRun
from vending.campaigns.service.reports import ChaseEntry, MeterStory, Report, TokenOwner
from vending.meters.model import MeterKey
from vending.persistence.column_types import Json


def campaign_document(campaign: Campaign) -> dict[str, object]:
    """Return a campaign."""
    return {
        "id": str(campaign.id),
        "name": campaign.name,
        "state": campaign.state.value,
        "filter": filter_document(campaign.wanted),
        "target": target_document(campaign.target),
        "channels": sorted(channel.value for channel in campaign.channels),
        "chase_after_days": campaign.chase_after_days,
        "reason": campaign.reason,
        "meters": campaign.meter_count,
        "approval": None if campaign.approval_id is None else str(campaign.approval_id),
        "created_by": campaign.created_by,
        "created_at": campaign.created_at.isoformat(),
        "started_at": None if campaign.started_at is None else campaign.started_at.isoformat(),
        "ended_at": None if campaign.ended_at is None else campaign.ended_at.isoformat(),
    }


def dry_run_document(found: DryRun) -> dict[str, object]:
    """Return a dry run in numbers."""
    obstacles: dict[str, Json] = {
        obstacle.value: count for obstacle, count in sorted(found.obstacles.items())
    }
    return {
        "meters": found.count,
        "would_change": found.changing,
        "reached_by_driver": found.linked,
        "would_not": obstacles,
    }


def outlook_document(outlook: Outlook) -> dict[str, object]:
    """Return what would happen to one meter."""
    return {
        "drn": outlook.pan.iain,
        "from": key_name(outlook.old),
        "to": f"{outlook.new} TI {outlook.new_ti}",
        "would": "change" if outlook.obstacle is None else outlook.obstacle.value,
        "driver": outlook.is_linked,
    }


def report_document(found: Report) -> dict[str, object]:
    """Return what a campaign has come to."""
    steps: dict[str, Json] = {step.value: count for step, count in sorted(found.steps.items())}
    reasons: dict[str, Json] = {
        f"{step}: {code}": count for (step, code), count in sorted(found.reasons.items())
    }
    known: dict[str, Json] = {word.value: count for word, count in sorted(found.evidence.items())}
    return {
        **campaign_document(found.campaign),
        "steps": steps,
        "reasons": reasons,
        "entered_known_by": known,
        "outstanding": sum(found.steps.get(step, 0) for step in OUTSTANDING_STEPS),
        "sets_made": found.issued_count,
        "first_set_at": None if found.issued_from is None else found.issued_from.isoformat(),
        "last_set_at": None if found.issued_to is None else found.issued_to.isoformat(),
        "sets_a_second": found.issue_rate_per_s,
    }


def chase_document(entry: ChaseEntry) -> dict[str, object]:
    """Return a meter that somebody should ask after; no name of a person."""
    return {
        "place": entry.meter.location.text,
        "drn": entry.meter.pan.iain,
        "driver": entry.meter.link is not None,
        "days": entry.days,
        **_standing(entry.member),
    }


def member_document(drn: str, member: CampaignMeter) -> dict[str, object]:
    """Return where a meter stands in a campaign."""
    return {"drn": drn, **_standing(member)}


def story_document(drn: str, story: MeterStory) -> dict[str, object]:
    """Return a meter's steps in a campaign."""
    return {
        **member_document(drn, story.member),
        "issued_at": None if story.issued_at is None else story.issued_at.isoformat(),
        "steps": [
            {
                "at": step.at.isoformat(),
                "from": step.origin.value,
                "to": step.target.value,
                "evidence": step.evidence.value,
                "code": step.code,
                "by": step.actor,
            }
            for step in story.steps
        ],
    }


def owner_document(drn: str, owner: TokenOwner) -> dict[str, object]:
    """Return which of a meter's keys reads a token."""
    return {
        "drn": drn,
        "key": key_name(owner.key),
        "is_registered_key": owner.is_registered,
        "token": type(owner.token).__name__,
    }


def key_name(key: MeterKey) -> str:
    """Return how a meter's key is written: register, tariff index, base date."""
    return f"{key.sgc}/{key.krn}/{key.kt.name} TI {key.ti} base {int(key.base_date)}"


def _standing(member: CampaignMeter) -> dict[str, object]:
    return {
        "step": member.step.value,
        "code": member.code,
        "evidence": None if member.evidence is None else member.evidence.value,
        "since": member.changed_at.isoformat(),
    }
