// The look of the HTML report: one style sheet for screen and paper. Loads no other files.
#pragma once

namespace mlxe {

inline constexpr const char* kReportStyle = R"css(
:root { --ink:#16202c; --soft:#5b6876; --line:#e1e6eb; --paper:#ffffff; --ground:#f4f6f8;
        --original:#4e79a7; --quantized:#e0905a; --good:#1a7f4b; --bad:#c0362c; }
* { box-sizing:border-box }
body { margin:0; background:var(--ground); color:var(--ink);
       font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif }
main { max-width:1080px; margin:0 auto; padding:28px 24px 48px }
h1 { font-size:25px; line-height:1.25; margin:0 0 6px; letter-spacing:-.01em; overflow-wrap:anywhere }
h1 .arrow { color:var(--soft); font-weight:400; padding:0 .15em }
h2 { font-size:17px; margin:0 0 12px; letter-spacing:-.005em }
.sub { color:var(--soft); margin:0 }
section, header { background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:20px 22px; margin:0 0 16px }
header { border-top:5px solid var(--good) }
header.failed { border-top-color:var(--bad) }
.verdict { margin:16px 0 0; display:flex; gap:12px; align-items:baseline }
.badge { display:inline-block; font-weight:650; font-size:12px; letter-spacing:.03em; text-transform:uppercase;
         border-radius:99px; padding:2px 10px; color:#fff; background:var(--good); white-space:nowrap }
.badge.failed { background:var(--bad) }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(188px,1fr)); gap:12px; margin:0 0 16px }
.card { background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:14px 16px }
.card .what { color:var(--soft); font-size:13px }
.card .value { font-size:25px; font-weight:650; letter-spacing:-.02em; line-height:1.3; font-variant-numeric:tabular-nums }
.card .more { color:var(--soft); font-size:13px; font-variant-numeric:tabular-nums }
.scroll { overflow-x:auto }
table { border-collapse:collapse; width:100%; font-size:14px }
th { text-align:left; font-weight:600; color:var(--soft); font-size:12.5px }
th, td { padding:5px 14px 5px 0; border-bottom:1px solid var(--line); vertical-align:top }
th:last-child, td:last-child { padding-right:0 }
tr:last-child td { border-bottom:0 }
.right { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
td:first-child { font-weight:500 }
#worst td, #flips td, #run td { overflow-wrap:anywhere }
#run td:first-child { white-space:nowrap; color:var(--soft); font-weight:400 }
#run tr:first-child td:last-child { font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; font-size:13px }
.note { color:var(--soft); font-size:13px; margin:10px 0 0 }
.bars { display:grid; grid-template-columns:max-content 1fr max-content; gap:6px 12px; align-items:center; font-size:14px }
.bars .group { grid-column:1/-1; font-weight:600; margin-top:8px }
.bars .group:first-child { margin-top:0 }
.bars .name { color:var(--soft) }
.bars .amount { font-variant-numeric:tabular-nums; text-align:right }
.track { height:18px; background:var(--ground); border-radius:4px; display:flex; overflow:hidden }
.track i { display:block; height:100% }
.original { background:var(--original) } .quantized { background:var(--quantized) }
figure { margin:-8px 0 -4px -26px } svg, figure img { display:block; width:100%; max-width:840px; height:auto }
/* A chart's own paper would cover the border it is moved over. */
figure svg > rect:first-child { fill:none }
@media screen and (prefers-color-scheme:dark) {
  :root { color-scheme:dark; --ink:#e4e9ee; --soft:#9aa7b4; --line:#2c3641; --paper:#171d24; --ground:#0f1419;
          --good:#238a55; --bad:#d0483d }
  /* The charts' own colours (src/rust/src/chart_canvas.rs). */
  svg [fill="#FFFFFF"] { fill:var(--paper) }
  svg text[fill="#1F2933"] { fill:var(--ink) } svg text[fill="#52606D"] { fill:var(--soft) }
  svg [stroke="#E4E7EB"] { stroke:var(--line) } svg [stroke="#9AA5B1"] { stroke:#56616d }
  svg [stroke="#FFFFFF"] { stroke:var(--paper) }
}
@media (max-width:760px) {
  main { padding:14px 10px 30px } section, header { padding:16px 14px } figure { margin-left:-14px }
  table { font-size:12.5px } th, td { padding-right:9px } .badge { font-size:10.5px; padding:2px 7px }
  #gates td:first-child { overflow-wrap:anywhere } #gates td:nth-child(3) { white-space:nowrap }
}
@media print {
  @page { margin:12mm }
  body { background:#fff; font-size:11.5px } main { max-width:none; padding:0 }
  * { -webkit-print-color-adjust:exact; print-color-adjust:exact }
  section, header, .card { break-inside:avoid; border-radius:0 }
  #layers, #worst, #flips { break-inside:auto } tr { break-inside:avoid }
  section, header { padding:12px 16px; margin-bottom:10px } h2 { font-size:14px; margin-bottom:6px }
  .cards { grid-template-columns:repeat(auto-fit,minmax(118px,1fr)); gap:8px } .card { padding:8px 10px }
  .card .value { font-size:19px } .card .what, .card .more, .note { font-size:10.5px }
  .badge { font-size:9.5px; padding:1px 8px } th, td { padding-top:3px; padding-bottom:3px } th { font-size:10.5px }
  .bars { font-size:11px; gap:3px 10px } .track { height:11px } svg { max-width:620px }
  .scroll { overflow:visible } table { font-size:11px }
}
)css";

}  // namespace mlxe
