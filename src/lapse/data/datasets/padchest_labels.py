"""The label names of PadChest: which of them is one of the 30 findings, compared as a whole.

Names that are not here are outside the 30: fractures of vertebrae and healed ribs, nodules, masses,
devices, "COPD signs", "interstitial pattern", "pericardial effusion", "subcutaneous emphysema" and
so on. A level, a side or a cause in a name ("loculated pleural effusion") is dropped. The table was
written by developers and needs the approval of a radiologist.
"""

from __future__ import annotations

NORMAL = "normal"
# A report with one of these need not repeat the findings, or its film is not to be used.
INCOMPLETE = frozenset({"unchanged", "exclude"})
FINDING_OF = {
    name: finding
    for finding, names in {
        "pleural effusion": (
            "pleural effusion, loculated pleural effusion, loculated fissural effusion"
        ),
        "atelectasis": (
            "atelectasis, atelectasis basal, laminar atelectasis, lobar atelectasis, "
            "round atelectasis, segmental atelectasis, total atelectasis, volume loss"
        ),
        "cardiomegaly": "cardiomegaly",
        "edema": "pulmonary edema",
        "hernia": "hiatal hernia",
        "hilar congestion": "hilar congestion",
        "pneumothorax": "pneumothorax",
        "heart failure": "heart insufficiency",
        "lung opacity": "alveolar pattern, ground glass pattern, increased density, infiltrates",
        "pneumonia": "pneumonia, atypical pneumonia",
        "tortuosity of the descending aorta": "descendent aortic elongation",
        "tortuosity of the thoracic aorta": "aortic elongation, ascendent aortic elongation",
        "scoliosis": "scoliosis",
        "emphysema": "emphysema",
        "granuloma": "granuloma, calcified granuloma",
        "calcification": "calcified densities",
        "pleural thickening": (
            "pleural thickening, apical pleural thickening, calcified pleural thickening"
        ),
        "blunting of the costophrenic angle": "costophrenic angle blunting",
        "consolidation": "consolidation",
        "fracture": "fracture, rib fracture, clavicle fracture",
        "pneumomediastinum": "pneumomediastinum",
    }.items()
    for name in names.split(", ")
}

# the other names of the release, in lower case
OUTSIDE = tuple(
    name.strip()
    for name in """
abnormal foreign body, abscess, adenopathy, air bronchogram, air fluid level, air trapping, aortic
aneurysm, aortic atheromatosis, aortic button enlargement, aortic endoprosthesis, artificial
aortic heart valve, artificial heart valve, artificial mitral heart valve, asbestosis signs, axial
hyperostosis, azygoesophageal recess shift, azygos lobe, blastic bone lesion, bone cement, bone
metastasis, breast mass, bronchiectasis, bronchovascular markings, bullas, calcified adenopathy,
calcified fibroadenoma, calcified mediastinal adenopathy, calcified pleural plaques, callus rib
fracture, catheter, cavitation, central vascular redistribution, central venous catheter, central
venous catheter via jugular vein, central venous catheter via subclavian vein, central venous
catheter via umbilical vein, cervical rib, chest drain tube, chilaiditi sign, chronic changes,
copd signs, costochondral junction hypertrophy, cyst, dai, dextrocardia, diaphragmatic
eventration, double j stent, dual chamber device, electrical device, empyema, end on vessel,
endoprosthesis, endotracheal tube, esophagic dilatation, exclude, external foreign body, fibrotic
band, fissure thickening, flattened diaphragm, gastrostomy tube, goiter, gynecomastia, heart valve
calcified, hemidiaphragm elevation, hilar enlargement, humeral fracture, humeral prosthesis,
hydropneumothorax, hyperinflated lung, hypoexpansion, hypoexpansion basal, interstitial pattern,
kerley lines, kyphosis, lepidic adenocarcinoma, lipomatosis, lung metastasis, lung vascular
paucity, lymphangitis carcinomatosa, lytic bone lesion, major fissure thickening, mammary
prosthesis, mass, mastectomy, mediastinal enlargement, mediastinal mass, mediastinal shift,
mediastinic lipomatosis, metal, miliary opacities, minor fissure thickening, multiple nodules,
nephrostomy tube, nipple shadow, nodule, non axial articular degenerative changes, nsg tube,
obesity, osteopenia, osteoporosis, osteosynthesis material, pacemaker, pectum carinatum, pectum
excavatum, pericardial effusion, pleural mass, pleural plaques, pneumoperitoneo, post radiotherapy
changes, prosthesis, pseudonodule, pulmonary artery enlargement, pulmonary artery hypertension,
pulmonary fibrosis, pulmonary hypertension, pulmonary mass, pulmonary venous hypertension,
reservoir central venous catheter, respiratory distress, reticular interstitial pattern,
reticulonodular interstitial pattern, right sided aortic arch, sclerotic bone lesion, single
chamber device, soft tissue mass, sternoclavicular junction hypertrophy, sternotomy, subacromial
space narrowing, subcutaneous emphysema, suboptimal study, superior mediastinal enlargement, supra
aortic elongation, surgery, surgery breast, surgery heart, surgery humeral, surgery lung, surgery
neck, suture material, thoracic cage deformation, tracheal shift, tracheostomy tube, tuberculosis,
tuberculosis sequelae, unchanged, vascular hilar enlargement, vascular redistribution,
ventriculoperitoneal drain tube, vertebral anterior compression, vertebral compression, vertebral
degenerative changes, vertebral fracture
""".replace("\n", " ").split(",")
)
