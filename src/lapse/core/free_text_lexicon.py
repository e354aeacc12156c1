"""The words that the reader of free text knows, as one regular expression with named groups.

Order matters: of two entries that match at the same position, the first is taken, so phrases come
before their words ("pericardial effusion" before "effusion").
"""

from __future__ import annotations

import re
from typing import Literal

TokenKind = Literal[
    "finding",  # value: name of the grammar
    "organ",  # value: the finding that it means when it grows or shrinks
    "other",  # another noun that a direction may belong to
    "direction",  # value: new, resolved, increased, decreased or stable
    "unchanged",  # "no change": stable, also without a finding
    "negation",
    "hedge",  # value: "right" where it concerns only what follows
    "side",
    "zone",
    "side_zone",  # value: "left lower"
    "level",
    "past",
    "now",
    "break",
    "comma",
    "and",
    "colon",
    "verb",
    "pronoun",
    "light",  # words between a direction and its finding
    "word",
]

_SEEN = r"(?:seen|visible|present|noted|identified|evident|visuali[sz]ed|appreciated|there|found)"
_EARLIER = (
    r"(?:previously|before|earlier|(?:i|o)n the (?:reference|prior|previous|earlier|first|old)"
    r"(?: (?:image|film|study|exam\w*|radiograph|x-ray|scan))?)"
)
_MODERN = r"(?:main|current|present|later|second|new|recent|follow-up)"
_OLD = r"(?:reference|prior|previous|earlier|first|initial)"
_IMAGE = r"(?: (?:image|film|study|exam\w*|radiograph|x-ray|scan|one))?"
_SHOW = r"(?:shows?|showed|demonstrates?|reveals?|has|had|depicts?|displays?|contains?)"
_EFFUSION = r"(?:effusions?|eff)"
_COSTOPHRENIC = r"(?:costophrenic|costodiaphragmatic|cp)(?: (?:angles?|sulcus|sulci|recess))?"

FINDINGS: tuple[tuple[str, str], ...] = (
    ("pleural effusion", rf"pleural {_EFFUSION}|{_EFFUSION}|pleural fluid|fluid in the pleural "
     r"space|hydrothorax"),
    ("atelectasis", r"atelecta\w+|(?:lobar |lung )?collapse|volume loss|loss of volume"),
    ("enlargement of the cardiac silhouette", r"enlarge(?:ment of the|d) (?:cardiac|cardiomediast"
     r"inal|heart) silhouette|cardiac silhouette (?:is|remains|appears) (?:\w+ )?enlarged"),
    ("cardiomegaly", r"cardiomegaly|cardiac enlargement|enlarge(?:ment of the|d) heart|heart (?:si"
     r"ze )?(?:is|remains|appears) (?:\w+ )?enlarged"),
    ("hilar congestion", r"hilar congestion"),
    ("vascular congestion", r"(?:pulmonary )?(?:venous|vascular) (?:congestion|engorgement)|(?:pul"
     r"monary )?congestion"),
    ("edema", r"(?:(?:pulmonary|interstitial|alveolar) )*(?:o?edema)"),
    ("hernia", r"(?:hiatal |hiatus |diaphragmatic )?hernias?"),
    ("pneumomediastinum", r"pneumomediastinum|mediastinal (?:air|emphysema)"),
    ("pneumothorax", r"(?:hydro)?pneumothora(?:x|ces)|ptx"),
    ("heart failure", r"(?:congestive )?heart failure|chf|cardiac (?:decompensation|failure)|(?:fl"
     r"uid|volume) overload"),
    ("pneumonia", r"(?:broncho)?pneumonias?|infections?|pna"),
    ("tortuosity of the descending aorta", r"tortuosity of the descending (?:thoracic )?aorta|tort"
     r"uous descending aorta"),
    ("tortuosity of the thoracic aorta", r"tortuosity of the (?:thoracic )?aorta|(?:thoracic )?aor"
     r"t(?:a|ic)(?: is)? tortuo\w+|tortuous (?:thoracic )?aorta"),
    ("scoliosis", r"(?:thoracolumbar |thoracic )?scoliosis"),
    ("gastric distention", r"(?:gastric|stomach) diste(?:nt|ns)ion|(?:distended|dilated) stomach"),
    ("hypoxemia", r"hypox(?:emia|ia)"),
    ("hypertensive heart disease", r"(?:hypertensive|htn) heart disease|htn"),
    ("hematoma", r"ha?ematomas?"),
    ("contusion", r"(?:pulmonary |lung )?contusions?"),
    ("emphysema", r"emphysema\w*"),
    ("granuloma", r"granulomas?|granulomatous disease"),
    ("pleural thickening", r"pleural thickening|thickening of the pleura"),
    ("thymoma", r"thymomas?"),
    ("blunting of the costophrenic angle", rf"blunting of the (?:(?:left|right) )?{_COSTOPHRENIC}|"
     rf"(?:(?:left|right) )?{_COSTOPHRENIC} blunting|blunted {_COSTOPHRENIC}"),
    ("consolidation", r"consolidat\w+"),
    ("fracture", r"(?:rib )?fractures?|(?:rib )?fx"),
    ("air collection", r"(?:air|gas) collections?|collections? of air"),
    ("calcification", r"calcifications?"),
    ("lung opacity", r"(?:(?:airspace|lung|pulmonary|parenchymal) )?(?:opacit(?:y|ies)|opacificati"
     r"ons?|infiltrates?|densit(?:y|ies))|airspace disease|haziness"),
)  # fmt: skip

_TABLE: tuple[tuple[TokenKind, str, str], ...] = (
    # nouns that contain the name of a finding, or that a direction may belong to
    ("other", "", rf"pericardial {_EFFUSION}|joint {_EFFUSION}|(?:subcutaneous|sub-?q|soft[ -]tiss"
     r"ue|interstitial) (?:emphysema|air)|scalp hematoma|(?:other )?abnormalit(?:y|ies)"),
    # sentences about both images
    ("direction", "new", rf"(?:was|were|is|are)?(?: not|n't|n’t) (?:\w+ ){{0,2}}?{_EARLIER}|"
     rf"absent {_EARLIER}|only (?:{_SEEN} )?(?:i|o)n the {_MODERN}{_IMAGE}|only the {_MODERN}"
     rf"{_IMAGE} {_SHOW}"),
    ("direction", "resolved", rf"only (?:{_SEEN} )?(?:i|o)n the {_OLD}{_IMAGE}|only the {_OLD}"
     rf"{_IMAGE} {_SHOW}|no longer(?: (?:any|has|have|shows?))?(?: {_SEEN})?|(?:is|are) not {_SEEN}"
     rf" (?:any ?more|now|(?:i|o)n the {_MODERN}{_IMAGE})|(?:is|are) missing(?: the)?|(?:has|have) "
     r"re-?expanded|re-?expanded|not any ?more"),
    ("direction", "stable", rf"both (?:images|films|studies|radiographs|x-rays) {_SHOW}|(?:i|o)n b"
     rf"oth (?:images|films|studies|radiographs)|again (?:{_SEEN}|demonstrated)|already {_SEEN}"),
    ("unchanged", "stable", r"(?:no|without)(?: (?:other|new|acute|major|evident|obvious|apparent|"
     r"significant|relevant|interval|substantial|further|definite|clear|marked|appreciable))*(?: in"
     r"terval)? (?:changes?|differences?)|nothing has changed|(?:essentially |virtually )?identical"
     r"|no new (?:findings|abnormalit(?:y|ies))"),
    ("direction", "stable", r"(?:has |have )?neither \w+ nor \w+ed|(?:is|are|has|have) not (?:been )"
     r"?(?:\w+ly )?(?:changed|improved|worsened|increased|decreased|progressed)|not (?:\w+ly )?(?:c"
     r"hanged|improved|worsened|increased|decreased)|without (?:\w+ )?(?:improvement|worsening|prog"
     r"ression|increase|decrease)|has n't changed|stable|unchanged|unchgd|same|similar|persist\w*|a"
     r"s before|as previously|constant|old"),
    ("word", "", r"(?:but|though) not (?:\w+ly )?(?:resolved|cleared|gone)|(?:greater|larger|more|"
     r"less) than (?:the )?(?:left|right)|it is important to note|consistent with|compatible with"),
    ("direction", "decreased", r"(?:near(?:ly)?(?:[ -]complete)?|almost completely|almost|partial(?:ly"
     r")?|partly|incomplete(?:ly)?) (?:resol\w+|clear\w+)|resolving|decreas\w+|improv\w+|smaller|le"
     r"ss(?:er|ened)?(?: (?:pronounced|prominent|extensive|conspicuous|severe|dense|marked))?|reduc"
     r"(?:ed|tion|ing)|diminish\w*|better|regress\w*|fewer|shr[aiu]nk\w*|subsid\w+|down|reced\w+"),
    ("direction", "resolved", r"resol(?:ved?|ves|ution)|cleared|clearing|gone|disappear\w*|vanish\w"
     r"+|normali[sz]\w+|(?:re)?absorbed"),
    ("direction", "increased", r"increas\w+|worse\w*|larger|bigger|enlarg\w+|progress(?:ed|ion|ing|"
     r"ive(?:ly)?)|expand\w*|gr[eo]w(?:n|ing|s)?|more(?: (?:pronounced|prominent|extensive|conspicu"
     r"ous|severe|dense|marked))?|up|deteriorat\w+|aggravat\w+|exacerbat\w+"),
    ("direction", "new", r"new(?:ly)?(?: (?:developed|seen|visible))?|additional|develop(?:ed|ment|"
     r"ing|s)|recurr(?:ed|ent|ence)|now (?:visible|present|seen|evident)|appeared|emerg(?:ed|ence|i"
     r"ng)|arisen|onset"),
    *(("finding", name, pattern) for name, pattern in FINDINGS),
    ("organ", "enlargement of the cardiac silhouette", r"(?:cardiac|cardiomediastinal|heart) silho"
     r"uette"),
    ("organ", "cardiomegaly", r"heart(?: size)?|cardiac size"),
    ("organ", "vascular congestion", r"(?:pulmonary )?vascular (?:markings|prominence)|(?:pulmonar"
     r"y )?vasculature"),
    ("other", "", r"lung volumes?|aeration|(?:lung )?(?:masse?s?|nodules?)|lesions?|tubes?|lines?|"
     r"catheters?|pacemakers?|devices?|hardware|vascular pattern|lymph nodes?|lymphadenopathy|ett|p"
     r"atient's condition|drains?"),
    ("hedge", "right", r"concern(?:ing)?(?: for)?|suggest\w*|likely(?: explanation for)?|which (?:m"
     r"ay|might|could)|due to|secondary to|reflect\w*|represent\w*|rais\w+ the question of|question"
     r" of"),
    ("hedge", "", r"possib\w+|probab\w+|may(?:be)?|might|could|would|suspect\w*|suspicious|questio"
     r"n\w*|equivocal|uncertain|unclear|indeterminate|(?:cannot|can't|can not|unable to|difficult t"
     r"o) \w+|if|whether|versus|vs|perhaps|potential\w*|presum\w+|\?"),
    ("negation", "", r"no|not|without|none|neither|nor|never|negative for|free of|absence of|n't|n"
     r"’t|does not|do not"),
    ("side_zone", "both lower", r"bibasilar|bibasal"),
    ("side_zone", "both upper", r"biapical"),
    ("side_zone", "right upper", r"rul"), ("side_zone", "right mid", r"rml"),
    ("side_zone", "right lower", r"rll"), ("side_zone", "left upper", r"lul|lingula\w*"),
    ("side_zone", "left lower", r"lll"),
    ("side", "both", r"bilateral(?:ly)?|both|b/l|bilat|l>r|r>l|diffuse(?:ly)?"),
    ("side", "left", r"left(?:[- ]sided)?|l"),
    ("side", "right", r"right(?:[- ]sided)?|r"),
    ("zone", "upper", r"upper(?: lobes?| zones?| lungs?)?|api(?:cal|ces)|apex"),
    ("zone", "mid", r"mid(?:dle)?(?: lobe| zones?| lungs?)?"),
    ("zone", "lower", r"lower(?: lobes?| zones?| lungs?)?|bas(?:es?|al|ilar)"),
    ("level", "", r"moderate to (?:large|severe)|mild to moderate|moderate(?:ly)?|mild(?:ly)?|smal"
     r"l|severe|minimal(?:ly)?|subtle|massive|minor|acute|trace|tiny|large|marked"),
    ("past", "", r"was|were|had(?: been)?|previously|formerly|prior|before|earlier|from"),
    ("now", "", r"now|currently|today|to|->|→"),
    ("break", "", r"but|however|whereas|while|although|though|yet"),
    ("and", "", r"and|or|as well as|along with|/|&|\+"),
    ("verb", "", r"is|are|has|have|been|be|becomes?|became|remains?|remained|remaining|appears?|se"
     r"ems?|looks?|shows?|shown|being|there's|demonstrates?"),
    ("pronoun", "", r"it|its|they|this|these|which|that|one|ones|too"),
    ("light", "", r"of|in|on|at|the|a|an|interval|slight(?:ly)?|size|extent|amount|degree|level|ap"
     r"pearance|known|focal|multifocal|patchy|interstitial|layering|dense|parenchymal|compressive|o"
     r"bstructive|linear|plate-like|ground-glass|calcified|scattered|lungs?|side|sided|zones?|areas"
     r"?|lobes?|pulmonary|retrocardiac|perihilar|airspace|findings?|evidence|associated|adjacent|so"
     r"me|also|further|overall|marked(?:ly)?|significant(?:ly)?|complete(?:ly)?|mildly|hilar|pleura"
     r"l|fields?|multiple|several|healing|chronic|any|continued|regarding|with(?= (?:associated|adj"
     r"acent|compressive|accompanying|volume loss))"),
)  # fmt: skip
KINDS: dict[str, tuple[TokenKind, str]] = {
    f"g{number}": (kind, value) for number, (kind, value, _) in enumerate(_TABLE)
}
TOKEN = re.compile(
    "|".join(
        f"(?P<g{number}>(?<![\\w-])(?:{pattern})(?![\\w-]))"
        for number, (_, _, pattern) in enumerate(_TABLE)
    )
    + r"|(?P<semicolon>;)|(?P<comma>,)|(?P<colon>:| - | – )|(?P<plus>(?<!\w)[+-](?=\s?\w))"
    + r"|(?P<query>\?)|(?P<arrow>->|→)|(?P<amp>[&/])|(?P<word>[\w'’-]+)"
)
SYMBOLS: dict[str, tuple[TokenKind, str]] = {
    "semicolon": ("break", ""),
    "comma": ("comma", ""),
    "colon": ("colon", ""),
    "plus": ("word", ""),
    "query": ("hedge", ""),
    "arrow": ("now", ""),
    "amp": ("and", ""),
    "word": ("word", ""),
}
