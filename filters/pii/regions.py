"""Could these digits be a phone number of that region? A necessary condition from phonenumbers' metadata.

Most digits in text are no phone number, and phonenumbers takes some 50 microseconds a region to say so. Its parser
strips an international prefix, the country code and the national prefix, in several ways, and then asks whether the
rest matches a pattern of some kind of number (fixed line, mobile, toll free, ...) of a region with that country code.
One regular expression a region says whether any way of stripping can succeed; only then is the number parsed.

The condition must never refuse what the parser accepts. It is derived from the metadata; where metadata rewrite
digits (a transform rule) no such expression exists and `Region.exact` is false. Brazil has a rule that only drops
digits.

Metadata: libphonenumber by way of the package phonenumbers (Apache-2.0), whose names with an underscore are its
port's.
"""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from phonenumbers import phonenumberutil as util
from phonenumbers.phonemetadata import PhoneMetadata

_NEVER = "(?!)"
_KINDS = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("voip", "personal_number", "pager", "uan", "voicemail"),
)
# Brazil's national prefix may hold a carrier code; its transform rule keeps the captured digits, so dropping the group
# that captures them from the prefix gives what is stripped.
_CAPTURED = r"(\d{10,11})"
_REWRITES_NOTHING = {r"(?:0|90)(?:(1[245]|2[1-35]|31|4[13]|[56]5|99)(\d{10,11}))?"}


@cache
def shortest_international() -> int:
    """Digits of the shortest valid number of the world, with its country code."""
    regions = [PhoneMetadata.metadata_for_region(name, None) for name in phonenumbers.SUPPORTED_REGIONS]
    regions += [
        PhoneMetadata.metadata_for_nongeo_region(c, None) for c in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS
    ]
    return min(len(str(m.country_code)) + min(m.general_desc.possible_length) for m in regions)


class Region:
    """The numbers of one region, as far as digits alone can say."""

    def __init__(self, name: str):
        metadata = PhoneMetadata.metadata_for_region(name, None)
        code = metadata.country_code
        prefix = metadata.national_prefix_for_parsing or _NEVER
        self.name = name
        self.exact = metadata.national_prefix_transform_rule is None or prefix in _REWRITES_NOTHING
        self.country_code = str(code)
        self.international_prefix = re.compile(metadata.international_prefix or _NEVER)
        self.national_prefix = re.compile(prefix)
        # A number is valid when it is a number of any region with this country code (US and CA share 1).
        sharing = [PhoneMetadata.metadata_for_region(r, None) for r in util.COUNTRY_CODE_TO_REGION_CODE[code]]
        self.lengths = {length for m in sharing for length in m.general_desc.possible_length}
        self.shortest = min(self.lengths)
        kinds = [getattr(m, kind) for m in sharing for kind in _KINDS]
        patterns = sorted({k.national_number_pattern for k in kinds if k is not None and k.national_number_pattern})
        number = "|".join(f"(?:{p})" for p in patterns)
        stripped = prefix.replace(_CAPTURED, "")
        self.number = re.compile(rf"(?:{self.country_code})?(?:{prefix}|{stripped}){{0,2}}(?:{number})\Z")
        self.formats = self._formats(util.region_code_for_country_code(code))

    @staticmethod
    def _formats(main_region: str) -> list[tuple[re.Pattern, re.Pattern, bool]]:
        """(leading digits, whole number, must it be written with its national prefix?); the first match counts."""
        formats = []
        for form in PhoneMetadata.metadata_for_region(main_region, None).number_format:
            rule = form.national_prefix_formatting_rule
            required = bool(
                rule
                and not form.national_prefix_optional_when_formatting
                and not util._formatting_rule_has_first_group_only(rule)
            )
            leading = form.leading_digits_pattern[-1] if form.leading_digits_pattern else ""
            formats.append((re.compile(leading), re.compile(rf"(?:{form.pattern})\Z"), required))
        return formats

    def possible(self, digits: str) -> bool:
        """False only if `digits` (ASCII, no +) are no number of this region that phonenumbers would take as VALID."""
        dialled_abroad = self.international_prefix.match(digits)
        if dialled_abroad and len(digits) - dialled_abroad.end() >= shortest_international():
            return True
        if len(digits) < self.shortest or not self.number.match(digits):
            return False
        if digits.startswith(self.country_code) or self.national_prefix.match(digits):
            return True
        if len(digits) not in self.lengths:
            return False
        for leading, pattern, prefix_required in self.formats:  # nothing to strip: the national prefix is not there
            if leading.match(digits) and pattern.match(digits):
                return not prefix_required
        return True
