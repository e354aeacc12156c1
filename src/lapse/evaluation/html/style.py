"""How every page looks, and the sentence that stands on every page."""

from __future__ import annotations

RESEARCH_USE = (
    "Research use only. Not a medical device; no answer on this page is a diagnosis. "
    "“Missing” means not mentioned, not proven resolved."
)
# Okabe-Ito colours: told apart with colour-blind eyes too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MANY_COLOURS = (*COLOURS, "#f0e442", "#8c6d4f", "#8f7fff", "#9aa5b1")

STYLE = """
:root{color-scheme:light}
body{margin:0;background:#f6f7f8;color:#1b1f23;font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:20px;margin:34px 0 10px}
h3{font-size:16px;margin:0 0 8px}
.safety{background:#fff4d6;border-left:4px solid #e69f00;padding:8px 12px}
.note{color:#4a5560;font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:#fff;margin:12px 0;font-size:13.5px}
caption{text-align:left;font-weight:600;padding:4px 0}
th,td{padding:5px 7px;border-bottom:1px solid #e1e5e9;text-align:right;white-space:nowrap}
th{white-space:normal;vertical-align:bottom;background:#eef1f4}
th:first-child,td:first-child{text-align:left}
tr.marked td{font-weight:600;background:#eef6fc}
table.facts td,table.facts th{text-align:left;white-space:normal}
.pair{background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:14px;margin:14px 0}
.seen{display:flex;gap:22px;flex-wrap:wrap}.seen dl{flex:1;min-width:300px}
.images{display:flex;gap:10px}figure{margin:0}figcaption{font-size:13px;color:#4a5560}
.images img{width:250px;max-width:100%;background:#000}
dl{display:grid;grid-template-columns:80px 1fr;gap:8px 10px;margin:0;align-content:start}
dt{color:#4a5560}dd{margin:0}
.right{color:#00664a}.wrong{color:#a33a00}
.ground{display:flex;gap:16px;flex-wrap:wrap}
.overlay{position:relative;width:380px;max-width:100%}
.images .overlay{width:250px}.overlay img{width:100%;display:block}
.overlay svg{position:absolute;inset:0;width:100%;height:100%}
.ground ul{flex:1;min-width:260px;margin:0;padding:0;list-style:none;font-size:13.5px}
.ground li{margin-bottom:8px}.key{display:inline-block;width:12px;height:12px;margin-right:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:14px;
align-items:start}
.chart{background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:8px}
.chart svg{width:100%;height:auto}.chart text{font-size:11px;fill:#4a5560}
.chart text.title{font-size:13px;font-weight:600;fill:#1b1f23}.grid{stroke:#e1e5e9}
.keys span{margin-right:12px;white-space:nowrap}
table.words td:nth-child(2),table.words th:nth-child(2){text-align:left;white-space:normal}
table.words td:nth-child(2){color:#4a5560;min-width:210px}
.quiet{color:#4a5560;font-size:13px}
.square{max-width:420px}.square svg{max-width:400px}
figcaption.title{font-weight:600;color:#1b1f23;margin:2px 0 6px}
.bars .bar{display:grid;grid-template-columns:minmax(90px,190px) 1fr 38px;gap:2px 8px;
align-items:center;font-size:13.5px;margin-bottom:5px}
.bars .bar .quiet{grid-column:2/4;font-size:12px;margin-top:-3px}
.rail{position:relative;height:12px;background:#eef1f4;border-radius:2px}
.fill{position:absolute;inset:0 auto 0 0;background:#0072b2;border-radius:2px}
.whisker{position:absolute;top:5px;height:2px;background:#1b1f23}
.value{text-align:right}
details{margin:10px 0}summary{cursor:pointer;font-weight:600}
.filters{position:sticky;top:0;z-index:2;display:flex;flex-wrap:wrap;gap:8px 16px;
align-items:center;background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:8px 12px}
.filters select,.filters button,#more{font:inherit;padding:3px 6px;max-width:260px}
.filters output{color:#4a5560}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:14px;
margin-top:14px}
.case{background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:12px;min-width:0}
.case[hidden]{display:none}
.case .images{display:grid;grid-template-columns:1fr 1fr;gap:10px;margin-bottom:10px}
.case .overlay{width:100%}.case .overlay img{background:#000}
.case dd{overflow-wrap:anywhere}.without-boxes .boxes{display:none}
.badge{font-size:12px;font-weight:600;border-radius:10px;padding:2px 9px;margin-left:4px;
display:inline-block}
.badge.bad{background:#fbe5d9;color:#8a3000}.badge.good{background:#d9f0e7;color:#00513c}
ul.changes{list-style:none;margin:0;padding:0}ul.changes li{margin-bottom:3px;font-size:13.5px}
.mark{font-size:12px;font-weight:600;margin-left:4px}
table.answers td,table.answers th{text-align:left;white-space:normal;vertical-align:top;
min-width:150px;max-width:420px}
#more{margin-top:8px}
@media (max-width:640px){main{padding:14px 12px 40px}.filters{position:static}h1{font-size:22px}
.case dl{grid-template-columns:1fr;gap:2px}.case dd{margin-bottom:8px}
.bars .bar{grid-template-columns:110px 1fr 38px}
table.words td:nth-child(2),table.words th:nth-child(2){display:none}}
"""
