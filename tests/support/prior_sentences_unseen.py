"""Sentences written without knowledge of the rules, whose first scores were recorded.

`FIRST` was written and committed before its author read the rules. Its first score is in
docs/how-to/prepare-data.md; afterwards the rules were extended with it, so its present score does
not apply to unseen text. `LAST` was written and committed after this extension and then scored;
`FINAL` followed after one more extension. No sentence is taken from a dataset.
"""

_FIRST_REFERRING = """
The left lower lobe consolidation looks about the same.
Pleural fluid on the right has reaccumulated after drainage.
Compared with two days ago, aeration of both bases is poorer.
The nasogastric tube has been replaced by a Dobbhoff tube.
No interval development of pneumothorax after bronchoscopy.
Mild vascular engorgement, which was present earlier as well.
The previously noted retrocardiac density has gone.
Edema, if anything, is slightly worse.
There is a newly apparent density in the lingula.
The Swan-Ganz catheter was taken out since the last film.
Monitoring and support devices are as on the earlier study.
Appearance of the right hilum is the same as in 2012.
Bilateral effusions, both somewhat bigger today.
A right apical pneumothorax can no longer be appreciated.
Heart remains enlarged.
Ongoing left basilar collapse.
Right upper lobe mass continues to grow.
The known small left apical pneumothorax has almost completely resorbed.
Radiograph of ___ at 04:12 is used as a reference.
Allowing for lower inspiration, there has been little alteration.
The cavity in the left apex was smaller at that time.
Slight improvement of the right basal opacity.
Interval insertion of a left subclavian line, tip in the lower SVC.
Pulmonary vascularity has returned to normal.
Effusion on the left side has now cleared.
Atelectasis at the right base is somewhat less marked.
Cardiac contour unaltered.
Old films show the same nodule, so it is likely benign.
The tracheostomy tube is in its usual position, with no change.
There is continued opacification of the left hemithorax.
Diffuse airspace disease has worsened in the interval.
Chest tube on the right has been repositioned.
Left retrocardiac opacity appears denser.
The previous report described a nodule, which is not reproduced here.
Mediastinal drains have been pulled.
Stability over two years suggests a benign process.
Bibasilar opacities are becoming more confluent.
The pacer lead seen on the prior has migrated.
Rapid progression of bilateral infiltrates.
The degree of congestion is comparable to that of yesterday.
Near total clearing of the previously extensive right lung opacity.
The lung nodules are unchanged in size and number.
Further increase in the left pleural effusion.
Sternal wires appear intact and are not displaced from where they were.
Following thoracentesis, the right effusion has become small.
The patient has been intubated in the meantime.
There is regression of the hilar lymphadenopathy.
Subcutaneous emphysema is diminishing.
Extensive left chest wall air, more than before.
The right lung shows better expansion.
Stable postoperative appearance of the mediastinum.
Right hemidiaphragm elevation is long-standing and constant.
Lungs are again hyperinflated.
Multifocal pneumonia is improving.
An earlier CT had shown a nodule in this location.
The fluid level in the left pneumonectomy space has risen.
There is partial resolution of the perihilar haze.
The peripherally inserted line now terminates in the azygos vein.
Interstitial abnormality is not significantly different.
Healing fracture of the right sixth rib, with more callus.
"""

_FIRST_INNOCENT = """
The lungs show no focal airspace disease.
Pacemaker leads terminate in the right atrium and right ventricle.
Cardiac silhouette is borderline enlarged.
The patient is status post aortic valve replacement.
There is elevation of the left hemidiaphragm with adjacent atelectasis.
Blunting of the left costophrenic angle may represent a small effusion or pleural thickening.
No evidence of active or latent tuberculosis.
The right internal jugular catheter ends in the mid SVC.
Interstitial markings are coarse, in keeping with chronic lung disease.
There is increased opacity overlying the left lower lung.
Decreased bone density is compatible with osteopenia.
Lung volumes are low, which exaggerates the heart size.
Old fracture deformity of the left clavicle.
Postoperative changes of left mastectomy with axillary clips.
A 6 mm nodule projects over the right fifth anterior rib.
Correlation with the clinical findings is recommended.
A repeat film with better inspiration would be useful.
Rounded lucency at the right apex may be a bulla.
The enteric tube courses below the diaphragm and out of view.
Heart failure is favored over infection.
The aortic arch is heavily calcified.
The upper mediastinum is widened, probably by mediastinal fat.
The left lung is clear, while the right shows diffuse haze.
No rib fracture is seen, although this study is not designed for it.
A large amount of stool is present in the colon.
The right lung is smaller than the left.
Findings are suspicious for early interstitial edema.
New York Heart Association class III symptoms are reported.
No new symptoms are reported by the patient.
The endotracheal tube is 2 cm above the carina and could be withdrawn by 1 to 2 cm.
Diffuse bony sclerosis is consistent with renal osteodystrophy.
Skin folds overlie the left chest and should not be mistaken for pneumothorax.
Thickening of the minor fissure is noted.
Prior median sternotomy with intact wires.
History of previous lobectomy on the right.
Evidence of old granulomatous disease, with calcified hilar nodes.
Lateral view is degraded by motion.
The lungs are symmetrically inflated.
Congestive changes are more pronounced on the left side.
Stent is seen in the left main bronchus.
There is a moderate hiatal hernia.
Multilevel degenerative changes of the thoracic spine.
The trachea is deviated to the right by a goiter.
No pleural effusion, pneumothorax or consolidation is seen.
Vague density in the right mid lung could be a confluence of shadows.
Air bronchograms are visible within the right upper lobe opacity.
Short-term follow-up in 4 to 6 weeks is suggested to document clearing.
If symptoms persist, CT may be considered.
Gaseous distention of the stomach.
Bilateral nipple shadows are noted.
Left-sided dual-chamber device is in standard position.
The pulmonary arteries are prominent, suggesting pulmonary hypertension.
There is no change of contour at the aortopulmonary window that suggests adenopathy.
A portion of the left lung base was not included.
Increased retrosternal airspace is typical of emphysema.
Tip of the dialysis catheter lies at the cavoatrial junction.
The descending aorta is tortuous but not dilated.
Volume loss in the right upper lobe with upward retraction of the hilum.
Pleural plaques are partially calcified.
A small amount of fluid tracks into the right major fissure.
"""


_LAST_REFERRING = """
Right basal chest tube has been pulled out, and no pneumothorax is seen.
The bilateral pulmonary edema looks milder than it did.
Left pleural effusion has come down in size.
Cardiomediastinal contours show no shift from the earlier exam.
A previously placed right PICC line ends at the cavoatrial junction.
Consolidation in the right middle lobe is resolving slowly.
There is no pneumothorax any more.
The nodule in the left upper lobe measures 9 mm, previously 6 mm.
Support devices, including the endotracheal tube, are in similar position.
Mild cardiomegaly is again noted.
Right lung opacities are similar, allowing for differences in positioning.
Substantial increase in the size of the left hydropneumothorax.
Moderate vascular congestion is unchanged from the preceding radiograph.
Opacity at the left base has almost vanished.
Worsened aeration of the right lower lobe.
The dialysis catheter was exchanged for a larger one.
The feeding tube was advanced and now ends in the stomach.
No new focal opacity.
Compared with the CT performed on ___, the mass is grossly stable.
Left lower lobe collapse persists.
Heart size has gone back to baseline.
The hilar enlargement was already visible in 2015.
Interval extubation.
The patchy opacities seen in the morning have faded.
Left apical pneumothorax is a little bigger.
There is progressive widening of the mediastinum.
Right effusion, likely increased, with overlying atelectasis.
The pulmonary vessels are less engorged.
Surgical clips are redemonstrated in the left breast.
Extensive pneumomediastinum is improving day by day.
"""

_LAST_INNOCENT = """
Moderate cardiomegaly with pulmonary venous congestion.
Right lower lobe opacity is concerning for aspiration.
The patient is status post coronary bypass surgery with median sternotomy wires.
A left pectoral pacemaker has leads in the right atrium and ventricle.
The lungs have a hyperinflated appearance.
There are low lung volumes with crowding of the bronchovascular structures.
No free intraperitoneal air.
Thoracic kyphosis is exaggerated, with anterior wedging of several vertebral bodies.
The costophrenic angles are blunted bilaterally.
The aorta is unfolded and calcified.
Findings were telephoned to the referring team at the time of interpretation.
Left upper lobe scarring with bronchiectasis, likely the result of remote infection.
Minimal dextroscoliosis of the thoracic spine.
The tip of the nasogastric tube is in the stomach, but the side port is above the junction.
An azygos lobe is noted, a normal variant.
Repeat radiograph with the patient upright would be more sensitive for a small effusion.
There is a calcified lymph node in the right hilum.
Haziness over both lower lungs may be due to overlying soft tissue.
The right heart border is obscured by an opacity in the middle lobe.
The central airways are patent.
More opacity is seen in the left lung than in the right.
Bones are diffusely demineralized.
Mild pulmonary edema with small bilateral effusions.
The left hemidiaphragm is less well seen, owing to a retrocardiac opacity.
Percutaneous gastrostomy tube projects over the upper abdomen.
CT is recommended for characterization of the nodule, and comparison with it would be easier then.
Shoulder arthroplasty on the left.
The patient has been rotated to the left, which limits evaluation of the mediastinum.
Multiple nodules in both lungs are suspicious for metastases.
No radiographic evidence of acute disease.
"""


_FINAL_REFERRING = """
Since the examination of ___, the left lung has partially re-aerated.
Tubes and lines have not been altered in position.
Right upper lobe opacity persists but is fading.
The effusions, once large, are now trace.
A new right-sided central venous catheter ends in the right atrium.
No appreciable change in the cardiac or mediastinal silhouette.
The left hemithorax remains opacified after pneumonectomy.
Previously described lingular opacity is not evident.
Interstitial edema has largely cleared in the past 24 hours.
Basilar atelectasis on the right is more marked than on the study of ___.
The endotracheal tube, formerly at the carina, lies 4 cm above it.
Slow resolution of the right upper lobe pneumonia.
The heart is bigger than in the prior film.
Worsening of the left retrocardiac consolidation.
Stable appearance of bilateral apical scarring.
The small nodule in the right lung did not change over three years.
As noted earlier, the left clavicle is fractured.
Left-sided pneumothorax, now minimal.
Interval removal of the mediastinal drain.
Comparison is made to the radiograph from the outside hospital.
Further progression of the diffuse reticular opacities.
The cavitary lesion shows slight shrinkage.
Bibasilar consolidations are unchanged, the effusions have decreased.
There continues to be a large hiatal hernia.
Intra-aortic balloon pump was removed in the interim.
Persistent low lung volumes.
The prior exam showed a right pleural effusion.
Mild prominence of the hila, as on multiple prior studies.
The left base is clearer.
Right paratracheal fullness has been present for years.
"""

_FINAL_INNOCENT = """
The heart is normal in size.
Streaky bibasilar opacities, most consistent with atelectasis.
Left subclavian port with its tip in the right atrium.
The patient is status post right upper lobectomy with volume loss.
Ill-defined opacity in the right lower lung, infection versus aspiration.
The thoracic aorta has a tortuous course.
Old rib fractures on the left side.
A large hiatal hernia contains an air-fluid level.
Lateral projection shows a small posterior effusion.
Lungs are grossly clear within the limits of a portable study.
Cardiac silhouette cannot be assessed because of adjacent opacity.
Emphysema with upper lobe predominance.
Mild perihilar haze and cephalization suggest volume overload.
Bibasal subsegmental atelectasis is present.
There is minimal biapical pleural thickening.
The opacity overlying the spine on the lateral view is likely pneumonia.
Follow-up chest radiograph after treatment is advised.
Clips in the left axilla from lymph node dissection.
The chin obscures the apices.
Right infrahilar opacity is more extensive than the one on the left.
Severe emphysema with a large bulla in the right apex.
The bones are unremarkable for age.
Diffuse interstitial thickening may reflect edema or fibrosis.
There is no mediastinal shift.
Retained barium is seen in the colon.
Dense consolidation in the left lower lobe with air bronchograms.
The cardiac apex is lifted, as in right ventricular enlargement.
Small calcified granuloma at the right base.
ET tube terminates near the thoracic inlet, and advancing it by 3 cm is suggested.
Nodular density over the left sixth rib likely represents a nipple shadow.
"""


def _pairs(referring: str, innocent: str) -> tuple[tuple[str, bool], ...]:
    return tuple(
        (line, refers)
        for block, refers in ((referring, True), (innocent, False))
        for line in block.strip().splitlines()
    )


FIRST = _pairs(_FIRST_REFERRING, _FIRST_INNOCENT)
LAST = _pairs(_LAST_REFERRING, _LAST_INNOCENT)
FINAL = _pairs(_FINAL_REFERRING, _FINAL_INNOCENT)
