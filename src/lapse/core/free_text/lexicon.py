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
    "break",  # value: "except" where what follows is not covered by "unchanged"
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
MODERN = r"(?:main|current|present|later|second|new|recent|follow-up)"
OLD = r"(?:reference|prior|previous|earlier|first|initial)"
_IMAGE = r"(?: (?:image|film|study|exam\w*|radiograph|x-ray|scan|one))?"
_SHOW = r"(?:shows?|showed|demonstrates?|reveals?|has|had|depicts?|displays?|contains?)"
_EFFUSION = r"(?:effusions?|eff)"

_MOVED = "(?:changed|improved|worsened|increased|decreased|progressed)"
_TECHNIQUE = (  # what makes a finding appear to change
    r"(?:projection|technique|(?:patient )?position\w*|rotation|art[ie]fact\w*|"
    "(?:low|lower|smaller) lung volumes|(?:poor|shallow) inspiration)"
)
_MOVING = r"(?:\w+ly )?(?:increas|worsen|progress|enlarg|grow|expand|decreas|improv|shrink)ing"
_STRENGTH = "(?:pronounced|prominent|extensive|conspicuous|severe|dense|marked|engorged|apparent)"
_NEARLY = (
    "(?:near(?:ly)?(?:[ -](?:complete(?:ly)?|total))?|almost(?: completely)?|partial(?:ly)?|partly|"
    "incomplete(?:ly)?|largely|mostly)"
)

FINDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("pleural effusion", (rf"pleural {_EFFUSION}", rf"{_EFFUSION}", "pleural fluid",
        "fluid in the pleural space", "hydrothorax",)),
    ("atelectasis", (r"atelecta\w+", "(?:lobar |lung )?collapse", "volume loss",
        "loss of volume",)),
    ("enlargement of the cardiac silhouette", (
        "enlarge(?:ment of the|d) (?:cardiac|cardiomediastinal|heart) silhouette",
        r"cardiac silhouette (?:is|remains|appears) (?:\w+ )?enlarged",)),
    ("cardiomegaly", ("cardiomegaly", "cardiac enlargement",
        "enlarge(?:ment of the|d) heart",
        r"heart (?:size )?(?:is|remains|appears) (?:\w+ )?enlarged",)),
    ("hilar congestion", ("hilar congestion",)),
    ("vascular congestion", ("(?:pulmonary )?(?:venous|vascular) (?:congestion|engorgement)",
        "(?:pulmonary )?congestion",)),
    ("edema", ("(?:(?:pulmonary|interstitial|alveolar) )*(?:o?edema)",)),
    ("hernia", ("(?:hiatal |hiatus |diaphragmatic )?hernias?",)),
    ("pneumomediastinum", ("pneumomediastinum", "mediastinal (?:air|emphysema)",)),
    ("pneumothorax", ("(?:hydro)?pneumothora(?:x|ces)", "ptx",)),
    ("heart failure", ("(?:congestive )?heart failure", "chf",
        "cardiac (?:decompensation|failure)", "(?:fluid|volume) overload",)),
    ("pneumonia", ("(?:broncho)?pneumonias?", "infections?", "pna",)),
    ("tortuosity of the descending aorta", (
        "tortuosity of the descending (?:thoracic )?aorta", "tortuous descending aorta",)),
    ("tortuosity of the thoracic aorta", ("tortuosity of the (?:thoracic )?aorta",
        r"(?:thoracic )?aort(?:a|ic)(?: is)? tortuo\w+", "tortuous (?:thoracic )?aorta",)),
    ("scoliosis", ("(?:thoracolumbar |thoracic )?scoliosis",)),
    ("gastric distention", ("(?:gastric|stomach) diste(?:nt|ns)ion",
        "(?:distended|dilated) stomach",)),
    ("hypoxemia", ("hypox(?:emia|ia)",)),
    ("hypertensive heart disease", ("(?:hypertensive|htn) heart disease", "htn",)),
    ("hematoma", ("ha?ematomas?",)),
    ("contusion", ("(?:pulmonary |lung )?contusions?",)),
    ("emphysema", (r"emphysema\w*",)),
    ("granuloma", ("granulomas?", "granulomatous disease",)),
    ("pleural thickening", ("pleural thickening", "thickening of the pleura",)),
    ("thymoma", ("thymomas?",)),
    ("blunting of the costophrenic angle", (
        "blunting of the (?:(?:left|right) )?(?:costophrenic|costodiaphragmatic|cp)"
        "(?: (?:angles?|sulcus|sulci|recess))?",
        "(?:(?:left|right) )?(?:costophrenic|costodiaphragmatic|cp)(?: (?:angles?|sulcus|"
        "sulci|recess))? blunting",
        "blunted (?:costophrenic|costodiaphragmatic|cp)(?: (?:angles?|sulcus|sulci|"
        "recess))?",)),
    ("consolidation", (r"consolidat\w+",)),
    ("fracture", ("(?:rib )?fractures?", "(?:rib )?fx",)),
    ("air collection", ("(?:air|gas) collections?", "collections? of air",)),
    ("calcification", ("calcifications?",)),
    ("lung opacity", (
        "(?:(?:airspace|lung|pulmonary|parenchymal) )?(?:opacit(?:y|ies)|opacifications?|"
        "infiltrates?|densit(?:y|ies))", "airspace disease", "haziness",)),
)  # fmt: skip

_TABLE: tuple[tuple[TokenKind, str, tuple[str, ...]], ...] = (
    # nouns that contain the name of a finding, and phrases that contain a direction
    ("other", "", (
        rf"pericardial {_EFFUSION}", rf"joint {_EFFUSION}", "scalp hematoma",
        "bone (?:mineral )?density",
        "(?:subcutaneous|sub-?q|soft[ -]tissue|interstitial) (?:emphysema|air)",
        "(?:other )?abnormalit(?:y|ies)",)),
    *(("finding", name, words) for name, words in FINDINGS),
    ("word", "", (
        r"(?:but|though) not (?:\w+ly )?(?:resolved|cleared|gone)",
        "(?:greater|larger|more|less) than (?:the )?(?:left|right)", "any ?more",
        r"better (?:seen|visuali[sz]ed|appreciated)", "(?:has|have) gone(?= from)",
        r"(?:greater|larger|smaller|more|less) than \d", "it is important to note",
        "consistent with", "compatible with", "if anything", "not only",)),
    # both images
    ("direction", "new", (
        rf"(?:was|were|is|are)?(?: not|n't|n’t) (?:\w+ ){{0,2}}?{_EARLIER}",
        rf"absent {_EARLIER}", rf"only (?:{_SEEN} )?(?:i|o)n the {MODERN}{_IMAGE}",
        rf"only the {MODERN}{_IMAGE} {_SHOW}", "(?:there is|there are|there's) now",
        "now (?:has|have|shows?)(?: evidence of)?",)),
    ("direction", "resolved", (
        rf"only (?:{_SEEN} )?(?:i|o)n the {OLD}{_IMAGE}", rf"only the {OLD}{_IMAGE} {_SHOW}",
        rf"no longer(?! {_MOVING})(?: (?:any|has|have|shows?|be))?(?: {_SEEN})?",
        rf"(?:is|are) not {_SEEN} (?:now|(?:i|o)n the {MODERN}{_IMAGE})",
        rf"absent (?:now|(?:i|o)n the {MODERN}{_IMAGE})",
        "(?:is|are) missing(?: the)?", "(?:has |have )?re-?expanded",)),
    ("direction", "stable", (
        rf"both (?:images|films|studies|radiographs|x-rays) {_SHOW}",
        "(?:i|o)n both (?:images|films|studies|radiographs)",
        rf"again(?: (?:{_SEEN}|demonstrated))?", rf"already {_SEEN}",
        "as (?:noted|seen|described) (?:earlier|before|previously)",)),
    ("unchanged", "stable", (
        "(?:no|without)(?: (?:other|new|acute|major|evident|obvious|apparent|significant|relevant|"
        "interval|substantial|further|definite|clear|marked|appreciable))*(?: interval)? "
        "(?:changes?|differences?)", "nothing has changed",
        "(?:essentially |virtually )?identical", "no new (?:findings|abnormalit(?:y|ies))",)),
    ("direction", "increased", (
        r"(?:stable|unchanged) to (?:\w+ )?(?:increased|worse|worsened|larger)",)),
    ("direction", "decreased", (
        r"(?:stable|unchanged) to (?:\w+ )?(?:decreased|better|improved|smaller)",)),
    ("direction", "stable", (
        r"(?:has |have )?neither \w+ nor \w+ed",
        rf"(?:is|are|has|have)(?: not|n['’]t) (?:been )?(?:\w+ly )?{_MOVED}",
        rf"not (?:\w+ly )?{_MOVED}",
        r"without (?:\w+ )?(?:improvement|worsening|progression|increase|decrease)",
        "stable", "unchanged", "unchgd", "same", "similar", "comparable", "unaltered",
        r"persist\w*", "ongoing", "residual", "as before", "as previously", "constant", "old",
        "continues? to be",)),
    ("direction", "decreased", (
        rf"{_NEARLY} (?:resol\w+|clear\w+|gone|vanish\w+|disappear\w*|(?:res|abs|reabs)orbed)",
        "resolving", r"decreas\w+", r"improv\w+", "smaller", "milder", "clearer",
        rf"less(?:er|ened)?(?: {_STRENGTH})?", "lessening", "reduc(?:ed|tion|ing)", r"diminish\w*",
        "better", r"regress\w*", "fewer", r"shr[aiu]nk\w*", r"subsid\w+", "down", r"reced\w+",
        "fad(?:ed|ing)", "is healing",)),
    ("direction", "resolved", (
        "resol(?:ved?|ves|ution)", "cleared", "clearing", "gone", r"disappear\w*", r"vanish\w+",
        r"normali[sz]\w+", "(?:res|abs|reabs)orbed",)),
    ("direction", "increased", (
        r"increas\w+", r"worse\w*", "larger", "bigger", "denser", r"enlarg\w+",
        "progress(?:ed|ion|ing|ive(?:ly)?)", r"expand\w*", "gr[eo]w(?:n|ing|s)?",
        rf"more(?: {_STRENGTH})?", "up", r"deteriorat\w+", r"aggravat\w+", r"exacerbat\w+",)),
    ("direction", "new", (
        "new(?:ly)?(?: (?:developed|seen|visible|apparent))?", "additional",
        "develop(?:ed|ment|ing|s)", "recurr(?:ed|ent|ence)", r"reaccumulat\w+", r"reappear\w+",
        "now (?:visible|present|seen|evident)", "appeared", "emerg(?:ed|ence|ing)", "arisen",
        "onset",)),
    ("organ", "enlargement of the cardiac silhouette", (
        "(?:cardiac|cardiomediastinal|heart) silhouette",)),
    ("organ", "cardiomegaly", ("heart(?: size)?", "cardiac size",)),
    ("organ", "vascular congestion", (
        "(?:pulmonary )?vascular (?:markings|prominence)", "(?:pulmonary )?vasculature",
        "pulmonary vessels",)),
    ("other", "", (
        "lung volumes?", "aeration", "(?:lung )?(?:mass(?:es)?|nodules?)", "lesions?", "tubes?",
        "lines?", "catheters?", "pacemakers?", "devices?", "hardware", "vascular pattern",
        "lymph nodes?", "lymphadenopathy", "ett", "patient's condition", "drains?",)),
    ("hedge", "", (
        rf"(?:likely |probably |possibly )?(?:due|secondary|related) to {_TECHNIQUE}",
        "projectional", "artifactual", "artefactual",)),
    ("hedge", "right", (
        "concern(?:ing)?(?: for)?", r"suggest\w*", "likely(?: explanation for)?",
        "which (?:may|might|could)", "due to", "secondary to", r"reflect\w*", r"represent\w*",
        r"rais\w+ the question of", "question of", "rul(?:e|ing)[ -]out", "r/o",
        "exclud(?:es?|ing)",
        "(?:evaluat|assess|look|check|screen)(?:e|ing)? for", "consider", "history of",
        r"mimic\w*", r"simulat\w+",)),
    ("hedge", "", (
        "than (?:the one )?(?:in|on) the (?:left|right)",  # one side against the other
        r"possib\w+", r"probab\w+", "may(?:be)?", "might", "could", "would", r"suspect\w*",
        r"suspicio\w+", r"question\w*", "equivocal", r"uncertain\w*", "unclear", "unsure",
        "indeterminate", r"(?:cannot|can['’]t|can not|unable to|difficult to) \w+", "if",
        "whether", "versus", "vs", "perhaps", r"potential\w*", r"presum\w+", r"doubt\w*",
        "unlikely", "not (?:likely|convinc(?:ing|ed)|certain|clear|sure)", "allegedly",
        "differential",
        r"hypothetical\w*", "(?:not|n[’']t) (?:true|correct|the case)", "untrue", "false(?:ly)?",
        "incorrect(?:ly)?", "wrong(?:ly)?", "mistaken(?:ly)?",)),
    ("negation", "", (
        r"nothing (?:\w+ )?to (?:indicate|suggest)",
        "no", "not", "without", "none", "neither", "nor", "never", "non", "negative(?: for)?",
        "free of", "clear of", "absen(?:ce(?: of)?|t)", "n't", "n’t", r"\w+n[’']t", "does not",
        "do not", r"lack\w*(?: of)?", r"den(?:y|ies|ied)", r"fail(?:s|ed)? to", "ruled out",
        r"(?:been )?excluded",)),
    ("side_zone", "both lower", ("bibasilar", "bibasal",)),
    ("side_zone", "both upper", ("biapical",)),
    ("side_zone", "right upper", ("rul",)),
    ("side_zone", "right mid", ("rml",)),
    ("side_zone", "right lower", ("rll",)),
    ("side_zone", "left upper", ("lul", r"lingula\w*",)),
    ("side_zone", "left lower", ("lll",)),
    ("side", "both", ("bilateral(?:ly)?", "both", "b/l", "bilat", "l>r", "r>l", "diffuse(?:ly)?",)),
    ("side", "left", ("left(?:[- ]sided)?", "l",)),
    ("side", "right", ("right(?:[- ]sided)?", "r",)),
    ("zone", "upper", ("upper(?: lobes?| zones?| lungs?)?", "api(?:cal|ces)", "apex",)),
    ("zone", "mid", ("mid(?:dle)?(?: lobe| zones?| lungs?)?",)),
    ("zone", "lower", ("lower(?: lobes?| zones?| lungs?)?", "bas(?:es?|al|ilar)",)),
    ("level", "", (
        "moderate to (?:large|severe)", "mild to moderate", "moderate(?:ly)?", "mild(?:ly)?",
        "small", "severe", "minimal(?:ly)?", "subtle", "massive", "minor", "acute", "trace", "tiny",
        "large", "marked",)),
    ("past", "", (
        "was", "were", "had(?: been)?", "previously", "formerly", "prior", "before", "earlier",
        "from", "previous", "once", "pre-existing",)),
    ("now", "", ("now", "currently", "today", "to",)),
    ("break", "except", (
        "except(?:ing)?(?: for| that)?", "with the exception of", "(?:other|rather) than",
        "(?:apart|aside) from", "save for", "besides",)),
    ("break", "", ("but", "however", "whereas", "while", "although", "though", "yet",)),
    ("and", "", ("and", "or", "as well as", "along with",)),
    ("verb", "", (
        "is", "are", "has", "have", "been", "be", "becomes?", "became", "remains?", "remained",
        "remaining", "appears?", "seems?", "looks?", "shows?", "shown", "being", "there's",
        "demonstrates?",)),
    ("pronoun", "", ("it", "its", "they", "this", "these", "which", "that", "ones?", "too",)),
    ("light", "", (
        "of", "in", "on", "at", "the", "a", "an", "interval", "slight(?:ly)?", "size", "extent",
        "amount", "degree", "level", "appearance", "known", "focal", "multifocal", "patchy",
        "interstitial", "layering", "dense", "parenchymal", "compressive", "obstructive", "linear",
        "plate-like", "ground-glass", "calcified", "scattered", "lungs?", "side", "sided",
        "zones?", "areas?", "lobes?", "pulmonary", "retrocardiac", "perihilar", "airspace",
        "findings?", "evidence", "associated", "adjacent", "some", "also", "further", "overall",
        "markedly", "significant(?:ly)?", "complete(?:ly)?", "hilar", "pleural", "fields?",
        "multiple", "several", "healing", "chronic", "any", "continued", "regarding",
        "with(?= (?:associated|adjacent|compressive|accompanying|volume loss))",)),
)  # fmt: skip
TOKEN = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(f"(?P<g{number}>{'|'.join(words)})" for number, (_, _, words) in enumerate(_TABLE))
    + r")(?![\w-])"
    + r"|(?P<semicolon>;)|(?P<comma>,)|(?P<colon>:| - | – )|(?P<plus>(?<!\w)[+-](?=\s?\w))"
    + r"|(?P<query>\?)|(?P<arrow>->|→)|(?P<amp>[&/])|(?P<word>[\w'’-]+)"
)
KINDS: dict[str, tuple[TokenKind, str]] = {  # by the name of the group of `TOKEN`
    **{f"g{number}": (kind, value) for number, (kind, value, _) in enumerate(_TABLE)},
    "semicolon": ("break", ""),
    "comma": ("comma", ""),
    "colon": ("colon", ""),
    "plus": ("word", ""),
    "query": ("hedge", ""),
    "arrow": ("now", ""),
    "amp": ("and", ""),
    "word": ("word", ""),
}
