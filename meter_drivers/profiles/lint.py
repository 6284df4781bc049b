"""Whether a profile agrees with itself: what a key alone cannot tell."""

from meter_drivers.profiles.model import AnyProfile, ProfileFinding


def lint_profile(profile: AnyProfile) -> list[ProfileFinding]:
    """Return every contradiction in a profile; none for a good one."""
    findings = list(profile.part.lint(profile))
    if not profile.capabilities:
        finding = ProfileFinding("capabilities", "none is declared", "name what the meter can do")
        findings.append(finding)
    return findings
