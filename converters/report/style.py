"""The style of a report: light and dark as the reader prefers, narrow screens, and paper."""

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1b2430;--quiet:#5a6675;--line:#dfe3e8;--grid:#e7eaee;
--bar:#0072b2;--soft:#cfe3f1;--dot:#d55e00;--error:#b3420a;--warning:#8a5a00;--note:#0b5f93;--good:#00734f;
--error-back:#fdeee6;--warning-back:#fdf4dc;--note-back:#e9f3fa}
@media (prefers-color-scheme:dark){:root{--paper:#11151b;--card:#191f27;--ink:#e6eaef;--quiet:#9aa6b4;--line:#2c3541;
--grid:#28303a;--bar:#56b4e9;--soft:#26435a;--dot:#f0a04b;--error:#ff9a6b;--warning:#f0c24b;--note:#7cc4f2;--good:#4fd0a0;
--error-back:#3a2118;--warning-back:#352b12;--note-back:#16293a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main,header,footer{max-width:1040px;margin:0 auto;padding:0 20px}
header{padding-top:36px}
h1{margin:0;font-size:1.9rem;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0 0 14px;font-size:1.25rem}
h3{margin:22px 0 8px;font-size:1rem}
h3 small{font-weight:400;color:var(--quiet)}
p{margin:8px 0;max-width:75ch}
a{color:var(--note)}
.lead,.quiet,footer{color:var(--quiet)}
.quiet{font-size:.85rem;margin:4px 0}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 22px;margin:18px 0;
overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:22px 0 0;padding:0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px}
.tiles dt{color:var(--quiet);font-size:.8rem}
.tiles dd{margin:0;font-size:1.3rem;font-weight:650;font-variant-numeric:tabular-nums}
.tiles dd small{display:block;font-size:.78rem;font-weight:400;color:var(--quiet)}
nav{margin:18px 0 0;font-size:.9rem}
nav a{display:inline-block;margin:0 14px 4px 0}
.notices{list-style:none;margin:0;padding:0}
.notices li{display:flex;gap:12px;align-items:baseline;padding:8px 12px;border-radius:8px;margin:6px 0}
.notices a{color:inherit;text-decoration-color:var(--quiet);text-underline-offset:3px}
.badge{flex:0 0 4.6rem;font-size:.78rem;font-weight:700;text-transform:uppercase;letter-spacing:.04em}
.error{background:var(--error-back)}.error .badge{color:var(--error)}
.warning{background:var(--warning-back)}.warning .badge{color:var(--warning)}
.note{background:var(--note-back)}.note .badge{color:var(--note)}
.good{color:var(--good);font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:22px 34px;
align-items:start}
details+.charts,details+h3{margin-top:22px}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.9rem;margin-bottom:8px}
.strip{margin:0 0 14px}.strip figcaption{font-weight:400;margin-bottom:4px}
.strip .scroll>svg{display:block;border-radius:6px;max-width:max(100%,640px);height:auto}
.chart{display:block;width:100%;max-width:560px;height:auto;font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,Arial,
sans-serif}
.chart text{fill:var(--quiet)}
.chart .label{fill:var(--ink)}.chart .value{fill:var(--ink)}
.grid{stroke:var(--grid)}.base{stroke:var(--quiet)}
.bar{fill:var(--bar)}.track{fill:var(--grid);opacity:.55}
.whisker{stroke:var(--quiet);stroke-width:1.5}.box{fill:var(--bar);opacity:.55}
.median{fill:var(--dot);stroke:var(--card);stroke-width:1.2}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;margin:6px 0;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:4px 0}
th,td{overflow-wrap:break-word;max-width:32em;text-align:left;
padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--quiet);font-weight:600}
.number{text-align:right;white-space:nowrap}
details{margin:10px 0 0}
summary{cursor:pointer;color:var(--quiet);font-size:.9rem}
.finding{border-top:1px solid var(--line);padding:12px 0 4px}
.finding h3{margin:0 0 2px;display:flex;gap:10px;align-items:baseline;flex-wrap:wrap}
.finding .badge{flex:none}.finding.error,.finding.warning{background:none}
.finding ul{margin:6px 0;padding-left:20px;font-size:.88rem}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
footer{padding-bottom:40px;font-size:.85rem}
@media (max-width:560px){main,header,footer{padding:0 12px}header{padding-top:20px}h1{font-size:1.45rem}
section{padding:16px 14px;border-radius:10px}.notices li{flex-direction:column;gap:0}.badge{flex:none}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--quiet:#444;--line:#bbb;--grid:#ddd;
--bar:#0072b2;--dot:#d55e00;--error:#b3420a;--warning:#8a5a00;--note:#0b5f93;--error-back:#fff;--warning-back:#fff;
--note-back:#fff}body{font-size:11pt}nav{display:none}section{border:0;border-top:1px solid #999;border-radius:0;
padding:12px 0}figure,table,tr,.tiles div,.charts>div,.finding,.notices li{break-inside:avoid}
h2,h3,caption,thead{break-after:avoid}.charts{grid-template-columns:1fr 1fr}details:not([open]){display:none}
.strip .scroll>svg{max-width:100%}.scroll{overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
"""One style sheet. The colours of the charts are of Okabe and Ito's palette, which colour-blind people tell apart."""
