"""Handwritten report sentences, labelled by whether they refer to an earlier examination.

`TUNED` was used while the rules were written. `HELD_OUT` was written at the same time and used
after the rules were complete. `HARDER` was written afterwards against the complete rules, which
scored precision .93 and recall .83 on it before they were extended. So unseen sentences cost about
.15 of recall. No sentence is taken from a dataset.
"""

from collections.abc import Iterable

from lapse.data.reports.prior_removal import PriorRemover

_REFERRING = """
Compared to the prior study, the right effusion is smaller.
As before, the heart is moderately enlarged.
Interval placement of a right internal jugular line.
Stable mild cardiomegaly.
There is a new opacity at the left base.
The lungs remain clear.
Left basilar atelectasis, unchanged.
No change in the small right pneumothorax.
No significant interval change.
The endotracheal tube has been removed.
Persistent elevation of the right hemidiaphragm.
Pulmonary edema has improved.
Worsening bibasilar opacities.
Previously seen nodule is not visualized today.
The previous effusion is no longer present.
Again seen is a tortuous aorta.
In comparison with the study of ___, there is little change.
Moderate effusion has increased since ___.
Slight decrease in the left effusion.
The newly placed PICC ends in the SVC.
Redemonstrated are surgical clips in the right axilla.
Residual small right apical pneumothorax.
The opacity is more conspicuous than on the prior radiograph.
Multiple priors show the same calcified granuloma.
Interstitial markings are similar in appearance to the exam of ___.
Resolving right lower lobe pneumonia.
The left lung has re-expanded.
Increasing left effusion with adjacent atelectasis.
Lines and tubes are in unchanged position.
There is no new consolidation.
Since the last radiograph, the chest tube has been withdrawn.
Cardiac size is larger than on ___.
Near complete resolution of the right effusion.
Recurrent left pleural effusion.
Allowing for differences in technique, the lungs are similar to before.
The patient was extubated in the interim.
There is now a small left apical pneumothorax.
Enlarging nodule in the right upper lobe.
Left effusion continues to decrease.
Known hiatal hernia, better seen on the recent chest CT.
"""

_INNOCENT = """
Degenerative changes of the thoracic spine.
Evidence of prior granulomatous disease.
Status post median sternotomy and CABG.
Multiple prior right rib fractures.
Old healed left rib fractures are noted.
No acute osseous changes.
Vertebral body heights are preserved.
The remaining lung fields are clear.
The remainder of the lungs is clear.
Emphysematous changes in both upper lobes.
Increased interstitial markings in both lungs.
Decreased lung volumes with bibasilar atelectasis.
The right effusion is larger than the left.
A nodule of 2.5 cm projects over the right mid lung.
Scarring from prior infection at the left apex.
The patient is status post left upper lobectomy.
Post-surgical changes in the right hemithorax.
The endotracheal tube ends 4.2 cm above the carina and should be advanced by 2 cm.
Follow-up radiographs are recommended to document resolution.
Recommend follow-up CT in 6 months.
Findings were discussed with Dr. ___ by telephone on ___ at 10:30 am.
Single portable view of the chest was obtained.
Low lung volumes accentuate the bronchovascular markings.
No focal consolidation, effusion, or pneumothorax.
The cardiac silhouette is mildly increased in size.
Chronic elevation of the right hemidiaphragm.
There are surgical clips from a previous cholecystectomy.
Evidence of previous thoracotomy on the right.
High resolution CT could be helpful.
Chest wall deformity related to prior trauma.
Nodular opacity measures less than 3 mm.
There is a moderate right pleural effusion with compressive atelectasis.
Opacity in the right lower lobe could represent developing pneumonia.
The aorta is calcified and tortuous.
Chronic changes of COPD.
Recurrent aspiration is possible.
Short-interval follow-up is advised.
Bilateral hilar prominence is greater on the right than on the left.
The heart is not enlarged.
Right lower lobe opacity is worrisome for early pneumonia.
"""

_HELD_OUT_REFERRING = """
Improved aeration of the left lower lobe.
Bibasilar atelectasis has progressed.
The heart size is unchanged.
Right pleural effusion, decreased from the prior.
When compared to the previous radiograph, vascular congestion is more severe.
The pre-existing opacity at the right base has cleared.
Otherwise, no relevant change.
A left chest tube is in the same position.
The tip of the line was pulled back.
Loculated effusion persists on the left.
Interval extubation and removal of the feeding tube.
Pneumothorax is minimally smaller.
Clearing of the right upper lobe consolidation.
The mediastinal contours are stable.
Reaccumulation of the right pleural fluid.
Overall appearance of the chest is essentially identical to yesterday.
Lung volumes are lower than before.
The previously described fracture is healing.
Cardiomediastinal silhouette is within normal limits and stable.
Progressive enlargement of the left hilum.
"""

_HELD_OUT_INNOCENT = """
Calcified granuloma in the right upper lobe, consistent with prior tuberculosis.
Patient is post mastectomy on the left.
Anterior wedging of a mid thoracic vertebral body is age indeterminate.
Moderate scoliosis with degenerative change.
The new-onset symptoms are not explained.
Subsegmental atelectasis at both bases.
Further evaluation with CT is suggested to exclude a mass.
Repeat radiograph after treatment is recommended to confirm clearing.
Dual lead pacemaker with leads in the right atrium and right ventricle.
The stomach is distended with air.
Heart size is at the upper limits of normal.
No displaced rib fracture is identified.
Pleural thickening is likely due to previous surgery.
Asymmetric opacity, right greater than left.
No pneumothorax after line placement.
The lungs are hyperinflated with flattened diaphragms.
Mild increase in interstitial markings may be due to age.
The costophrenic angles are sharp.
The exam is limited by patient rotation.
Sternal wires are intact and aligned.
"""

_HARDER_REFERRING = """
The right lung base is better aerated.
Slightly improved vascular congestion.
Left effusion, larger.
Patchy opacities are less apparent than on the study from the morning.
Tip of the Dobbhoff has been advanced into the stomach.
Both effusions have slightly decreased.
Unchanged.
Cardiomegaly, stable.
The opacity noted on the previous exam is again visualized.
There has been interval clearing of the edema.
As compared to the previous image, no relevant change is seen.
The consolidation appears worse.
Heart size is within normal limits, unchanged from ___.
The patient has undergone thoracentesis with reduction in the right effusion.
Old study is available for comparison.
Improvement in bibasilar atelectasis.
Since yesterday, lines have not moved.
The ET tube, in the interval, was withdrawn 2 cm.
Evolving consolidation in the right lower lobe compared with the CT of ___.
Effusion is stable to slightly increased.
Bilateral opacities have cleared almost entirely.
Mediastinal widening has not changed.
The right pleural catheter is no longer seen.
Progression of interstitial disease.
Pulmonary nodules grossly unchanged in number.
Follow-up of the known pneumonia shows resolution.
Postoperative appearance is as expected with decreasing air.
Further decline in lung volumes.
Left base opacity is less dense.
Right hilar mass is bigger than it was.
"""

_HARDER_INNOCENT = """
No acute cardiopulmonary abnormality.
The lungs are well expanded and clear.
The right hemidiaphragm is higher than the left.
Opacity is more prominent on the right.
Atherosclerotic changes of the aorta.
The patient has had a prior CABG.
Sequelae of previous granulomatous infection.
Findings may reflect mild interval fluid overload.
Aortic knob calcification is present.
There are no acute displaced rib fractures.
Consider lateral decubitus views for further evaluation.
The study is limited by low lung volumes.
There is a 9 mm nodular opacity in the left upper lobe.
A right-sided port terminates in the lower SVC.
Chronic interstitial changes at both bases.
Prominence of the pulmonary vasculature may be projectional.
Remote left clavicle fracture.
Cholecystectomy clips are seen in the right upper quadrant.
Results were called to Dr. ___ at 9 a.m. on ___.
The pulmonary arteries are increased in caliber.
No free air is seen below the diaphragm.
Retrocardiac opacity is greater than expected.
Increased density at the left base obscures the diaphragm.
Right basilar opacity may be atelectasis, though infection cannot be excluded.
The left costophrenic angle is not included on the film.
Pleural plaques consistent with previous asbestos exposure.
The upper lobe predominance suggests emphysema.
Left ventricular assist device is in place.
Change of position would help to see whether the fluid is free.
Please obtain a new radiograph with the arms raised.
"""


def _pairs(referring: str, innocent: str) -> tuple[tuple[str, bool], ...]:
    return tuple(
        (line, refers)
        for block, refers in ((referring, True), (innocent, False))
        for line in block.strip().splitlines()
    )


TUNED = _pairs(_REFERRING, _INNOCENT)
HELD_OUT = _pairs(_HELD_OUT_REFERRING, _HELD_OUT_INNOCENT)
HARDER = _pairs(_HARDER_REFERRING, _HARDER_INNOCENT)


def measure_remover(
    remover: PriorRemover, sentences: Iterable[tuple[str, bool]]
) -> tuple[float, float]:
    """Precision and recall of a remover on (sentence, whether it refers to an earlier study).

    A sentence is detected if something is removed from it. Precision is 1 without detected
    sentences, recall is 1 without referring ones.
    """
    results = [(bool(remover.remove(text)[1]), refers) for text, refers in sentences]
    num_correct = sum(is_detected and refers for is_detected, refers in results)
    num_detected = sum(is_detected for is_detected, _ in results)
    num_referring = sum(refers for _, refers in results)
    precision = num_correct / num_detected if num_detected else 1.0
    recall = num_correct / num_referring if num_referring else 1.0
    return precision, recall
