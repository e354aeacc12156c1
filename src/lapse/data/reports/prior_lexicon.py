"""The lexicon of the rules: words that refer to an earlier examination.

Words with other uses are tied to a context: "degenerative changes", "prior granulomatous
disease", "larger than the left" and "follow-up to document resolution" do not refer to an earlier
image. `is_dated` is the only public function.
"""

from __future__ import annotations

import re

_STUDY = (
    r"(?:stud(?:y|ies)|exam(?:ination)?s?|radiographs?|films?|images?|imaging|x-?rays?|cxrs?|"
    r"cta?|mri|scans?|tomograph\w*|reports?|comparisons?|chest)"
)
# The medical history of a patient, which is visible in the present image.
_PAST = (
    r"(?:sternotom\w+|thoracotom\w+|surger\w+|surgical|operati\w+|cabg|bypass|valve|resections?|"
    r"lobectom\w+|pneumonectom\w+|mastectom\w+|cholecystectom\w+|\w+ectom\w+|fractures?|trauma\w*|"
    r"injur\w+|infect\w+|inflammat\w+|granulomatous|disease|tb|tuberculo\w+|histoplasmosis|"
    r"exposure|pneumonias?|empyema|pleurodesis|radiation|radiotherapy|vertebroplast\w+|"
    r"kyphoplast\w+|fusions?|procedures?|interventions?|repairs?|stent\w*|emboli[sz]ation|"
    r"infarct\w*|instrumentation|hemorrhage|smoking|history|replacements?|reconstructions?)"
)
_SIDE = (
    r"(?:the |(?:that|those|the one) (?:of|on|in|at) the )?"
    r"(?:left|right|contralateral|opposite|other)\b"
)
_ADVERB = (
    r"(?: been| also| since| slightly| further| markedly| significantly| mildly| moderately|"
    r" substantially| partially| completely| nearly| largely| now| not| almost| entirely)*"
)
_MOVED = (
    r"(?:increased|decreased|changed|cleared|removed|developed|enlarged|appeared|placed|advanced|"
    r"withdrawn|retracted|extubated|inserted|repositioned|exchanged|replaced|diminished|grown|"
    r"moved|migrated|regressed|evolved|reduced|lessened|risen|fallen|shifted|become|returned|gone|"
    r"come|re-?sorbed|reabsorbed|normali[sz]ed|subsided|abated|receded|shrunk|shrunken|healed|"
    r"coalesced|deteriorated|declined|accumulated|expanded|formed|occurred|faded|widened|"
    r"narrowed|filled|emptied|drained|collapsed|opened|lost|gained|reached|turned|cavitated)"
)
# "Has been" refers to an event since the last image, except for verbs of communication.
_TOLD = (
    r"(?:communicated|discussed|called|notified|informed|paged|obtained|performed|acquired|"
    r"reviewed|provided|included|excluded|requested|recommended|advised|suggested|marked|cropped|"
    r"known|diagnosed|treated|reported|made|given|sent|rotated|positioned|imaged|taught|asked)"
)
# "Has vanished" refers to a change; "has rounded margins" and "has undergone surgery" do not.
_HAPPENED = (
    r"(?:has|have|had)(?: \w+ly| almost| nearly| also| not| now| since| all but| in part| long)* "
    rf"(?!been\b|undergone|needed|required|complained|presented|suffered|{_TOLD}\b)"
    r"(?!\w+ed (?:\w+ )?(?:margins?|borders?|edges?|contours?|appearance|shape|density|walls?|"
    r"course|configuration|outlines?|lungs?|cent(?:er|re)|component)\b)\w+ed"
)
# Comparatives with both terms in the sentence compare within one image.
_WITHIN = (
    rf"(?! (?:than|on|in|at|over|within|toward|towards|along) {_SIDE}"
    r"| than (?:expected|normal|usual|typical|would|\d|one|two|half)"
    r"| (?:on|in|at|over|within|toward|towards) the (?:lateral|frontal|upper|lower|mid|bases?|apex|"
    r"apices|periphery|left|right)| in the (?:setting|presence|lung))"
)
_ADVERBS = (
    r"(?:slightly|minimally|somewhat|markedly|much|considerably|far|clearly|mildly|significantly|"
    r"substantially|moderately|a bit|a little|distinctly|marginally|even|now|both|probably|perhaps)"
)
_FOUND = (
    r"(?:pneumothorax|effusions?|nodules?|mass(?:es)?|pneumonia|opacit(?:y|ies)|consolidation|"
    r"fractures?|lesions?|aneurysm|hernia|collapse|edema)"
)
_QUALIFIER = (
    r"(?:significant(?:ly)?|substantial(?:ly)?|relevant|appreciabl[ey]|interval|definite|major|"
    r"obvious|other|further|gross|notabl[ey]|overall|marked(?:ly)?|real|clear|convincing|great(?:ly)?|"
    r"or|evident)"
)

_HARD = (
    r"unchanged",
    r"(?<!hemodynamically )stable",
    r"again",
    r"previously",
    rf"(?:prior|previous)s?\b(?:(?: \w+){{0,2}}? {_STUDY}\b|"
    rf"(?! to\b)(?!(?:[ -]\w+){{0,3}}?[ -]{_PAST}\b))",
    rf"new(?!-onset| onset|born| york| {_STUDY}| (?:symptoms?|complaints?|fevers?|pain|cough))",
    r"newly",
    r"compar(?:ed|ison)|comparable (?:to|with|in)",
    r"remain(?:s|ed)?",
    r"remaining (?:small |trace |mild )?(?:effusion|pneumothorax|opacit\w+|edema|consolidation)",
    r"(?:small|tiny|trace|minimal|mild|no|any) remaining",
    r"persist(?:s|ent|ed|ing|ently|ence)?",
    r"worse|worsen(?:s|ed|ing)?",
    r"improv(?:ed|es|ing)",
    r"progress(?:ed|es|ing|ive|ively)",
    r"resolv(?:ed|es|ing)",
    r"re-?demonstrat\w+|re-?identified|re-?visuali[sz]ed|re-?accumulat\w+|re-?expan\w+|reappear\w*",
    r"recurren(?:t|ce)(?! aspiration| infections?| pneumonias?)",
    r"residual",
    r"pre-?existing",
    r"increasing(?:ly)?|decreasing|enlarging",
    rf"(?:has|have|had){_ADVERB} {_MOVED}",
    rf"(?:has|have|had)(?: \w+ly| not| now| since)? been(?: \w+ly| now| since)? "
    rf"(?!{_TOLD}\b|able|on\b|in place\b|a\b|an\b)\w+",
    r"there (?:has|have) (?:\w+ )?been",
    _HAPPENED,
    r"than (?:it|they|he|she) (?:did|had|used)|any ?more|formerly|hitherto|thus far|so far",
    r"(?:likely|probably|possibly|perhaps|presumably|slightly|minimally|mildly|markedly|further|"
    r"somewhat) (?:increased|decreased|changed|reduced|diminished|enlarged)(?= ?[.,;]|$)",
    r"(?:where|what|as|than) (?:it|they) (?:was|were)",
    rf"(?:is|are|appears?|seems?)(?: to be)?(?: {_ADVERBS}| \w+ly)? (?:growing|clearing|evolving|"
    r"expanding|accumulating|coalescing|filling|shifting|migrating|progressing|getting|rising|"
    r"falling|healing)",
    r"diminishing|receding|shrinking|subsiding|regressing|deteriorating|resorbing|waning|becoming|"
    r"lessening|trending",
    r"shrinkage|regression|re-?sorption|reabsorption|deterioration|normali[sz]ed|normali[sz]ation|subsided|"
    r"receded|abated|dissipated|reabsorbed|resorbed|unresolved|re-?inserted|re-?intubated|"
    r"re-?positioned|exchanged",
    r"(?:is|are|was|were) (?:re-?intubated|drained|exchanged|replaced|upsized|discontinued)",
    r"unaltered|unmodified|unvarying|static|constant",
    rf"(?:no|little|minimal|without(?: any)?|not) (?:{_QUALIFIER} ){{0,3}}(?:alterations?|altered|"
    r"differences?|different|development|movement|growth|evolution)"
    r"(?! (?:between|in size between))",
    r"(?:was|were) (?:removed|placed|withdrawn|pulled|repositioned|inserted|extubated|advanced)",
    r"pulled back|extubat(?:ed|ion)|(?<!post )removal of",
    r"(?:increase|decrease|reduction) in (?:the|size|extent|right|left|bilateral|bibasilar|number)",
    rf"(?:no|little|minimal|without(?: any| a)?|not) (?:{_QUALIFIER} ){{0,3}}chang(?:es?|ed)\b"
    r"(?! of)",
    r"(?:increased|decreased|larger|smaller|changed|different) (?:since|from|compared)",
    rf"(?:{_ADVERBS}|is|are|appears?|looks?) (?:smaller|larger|bigger|better|denser|wider|poorer|"
    rf"fuller|clearer|fainter|sharper)\b{_WITHIN}",
    rf"(?:is|are|appears?|looks?|lies|sits) (?:{_ADVERBS} )?(?:lower|higher|greater|deeper|"
    r"shallower)(?= ?[.,;]|$)",
    rf"{_ADVERBS} more (?!likely|probabl|than)\w+{_WITHIN}",
    r"with (?:more|less|fewer) \w+",
    r"(?:more|less) than before|(?:,|is|are|and) (?:more|less)(?= ?[.,;]|$)",
    r"decreased in (?:size|extent|conspicuity|prominence|severity|degree)",
    r"increased in (?:extent|conspicuity|prominence|severity|degree)",
    rf"than (?:on|in|at)\b(?! {_SIDE}| the (?:lateral|frontal))|(?:than|as|to) before|than it was",
    r"(?:larger|smaller|bigger|denser|fewer)(?= ?[.,;]|$)",
    rf"less (?!than\b|likely|probabl|typical|well\b|certain|sensitive|specific|suspicious|optimal|"
    rf"commonly|often)\w+{_WITHIN}",
    rf"more (?:extensive|confluent|conspicuous)\b{_WITHIN}",
    r"further (?:decline|decrease|increase|reduction|improvement|progression|enlargement)",
    r"interim|in the interval",
    r"(?:ever )?since\b(?! (?:the )?(?:patient|he|she|there|this|it|these|they)\b)",
    rf"yesterday|last (?:night|seen|{_STUDY})|earlier|today|overnight|recently|meantime|meanwhile|"
    r"at that time|ongoing|still(?! image| frame)|(?:back|returned?) to",
    rf"old {_STUDY}|initial {_STUDY}",
    r"(?:from|of|since|in|to) (?:19|20|21)\d\d",
    r"(?:days?|weeks?|months?|years?|hours?) (?:ago|earlier|before|prior)|"
    r"over (?:the )?(?:\w+ ){0,2}(?:years|months|weeks|days|hours)",
    rf"known (?:\w+ ){{0,3}}{_FOUND}",
    r"no longer|any longer",
    r"continue[sd]? to|continued(?! follow| attention| clinical| surveillance| monitoring|"
    r" evaluation)",
    rf"similar (?:position|location|appearance|extent|degree|distribution|amount|to\b(?! {_SIDE})|"
    r"in (?:appearance|size|extent|position|configuration|degree|"
    r"distribution|severity)|as|compared)",
    r"(?:is|are|appears?|overall|grossly|essentially|relatively) similar(?= ?[.,;]|$)",
    r"identical",
    r"now|baseline",
    r"differences? in (?:\w+ )?(?:technique|position(?:ing)?|inspir\w+|projection|rotation|"
    r"lung volumes?|exposure)",
    r"(?:the )?same (?:position|location|place|appearance|extent|size|nodules?|findings?|lesions?|"
    r"opacit(?:y|ies))",
    r"(?:about|much|exactly|essentially|is|are|looks?|appears?) the same|the same as",
    rf"(?:recent|outside|outside hospital) (?:\w+ ){{0,2}}{_STUDY}",
    rf"(?:seen|noted|present|described|identified|{_STUDY}) (?:from|on|of|dated) ___",
    r"(?:from|since|than|versus) (?:on |in )?___",
    r"(?:since|from|than on|than in)(?= ?[.,;]| ?$)",  # a date was here
)
# Not a reference where the clause recommends what to do next.
_SOFT = (
    r"(?<!short[- ])interval(?:ly)?(?! follow| imaging| radiograph| ct)",
    r"(?:complete|partial|near|continued)[- ]resolution|resolution of|clearing",
    r"improvement|progression|stability",
    r"(?:better|poorer|greater|improved) (?:expansion|aeration|ventilation|inflation)",
)


def _words(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


_HARD_WORDS = _words(_HARD)
_SOFT_WORDS = _words(_SOFT)
_PLAN = re.compile(
    r"\b(?:recommend\w*|advis\w+|should|could be (?:obtained|performed|helpful)|until|"
    r"follow-?\s?up|to (?:ensure|document|confirm|assess|evaluate|exclude|establish|verify)|"
    r"(?:is|are) suggested|consider)\b",
    re.IGNORECASE,
)


# Conditions refer to the future, not to an earlier image.
_CONDITION = re.compile(r"\b(?:if(?! anything)|unless|in case)\b[^,;.]*", re.IGNORECASE)


def is_dated(text: str) -> bool:
    """Whether a sentence or clause refers to an earlier examination.

    >>> is_dated("Mild edema has improved."), is_dated("Degenerative changes of the spine.")
    (True, False)
    """
    text = _CONDITION.sub("", text)
    if _HARD_WORDS.search(text):
        return True
    return bool(_SOFT_WORDS.search(text)) and not _PLAN.search(text)
