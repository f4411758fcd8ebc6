// The style sheet of the reports: light or dark as the reader's system is, and light on paper.
#pragma once

#include <string_view>

namespace alexnet {

/// Colours c0 … c5 are told apart by readers with any kind of colour vision (after Okabe and Ito, Color Universal
/// Design, 2008), made darker or lighter until each has a contrast of 3 to the background.
inline constexpr std::string_view report_style = R"(
:root {
  --background: #ffffff; --text: #1b1e23; --quiet: #5a626d; --rule: #d5d9df; --faint: #eceff3; --notice: #fff4d6;
  --matrix: 8 58 117; --deep: #ffffff; --bar: #3b78b5;
  --c0: #0072b2; --c1: #c44e00; --c2: #00795a; --c3: #a83c82; --c4: #8a6500; --c5: #4a4f57;
}
@media (prefers-color-scheme: dark) {
  :root {
    --background: #15181d; --text: #e4e7eb; --quiet: #a3abb6; --rule: #3a414b; --faint: #262b33; --notice: #3a3219;
    --matrix: 47 110 182; --deep: #ffffff; --bar: #4d8fd0;
    --c0: #56b4e9; --c1: #ff8c42; --c2: #2fc795; --c3: #e38cc2; --c4: #e6c133; --c5: #c3c9d1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem); max-width: 76rem;
  background: var(--background); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 1rem; padding-top: 1.1rem; border-top: 1px solid var(--rule); font-size: 1.2rem; }
header p { margin: .3rem 0 0; color: var(--quiet); overflow-wrap: anywhere; }
section { margin-top: 2.2rem; }
figure { margin: 0; }
figcaption, caption { margin: 0 0 .5rem; color: var(--quiet); font-size: .87rem; text-align: left; }
footer, .note, .quiet { color: var(--quiet); font-size: .87rem; }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
.note { max-width: 50rem; }
h1 + .wide { margin-top: 1.2rem; }
header .missing {
  margin-top: 1rem; padding: .5rem .8rem; border-left: 4px solid var(--c4); background: var(--notice); color: var(--text);
}

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem; margin: 1.6rem 0 0; }
.figures div { border-top: 3px solid var(--c0); padding-top: .4rem; }
.figures dt { color: var(--quiet); font-size: .87rem; }
.figures dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.3; white-space: nowrap; }

.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; }
th, td { padding: .22rem 1.1rem .22rem 0; text-align: left; font-weight: 400; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--quiet); border-bottom: 1px solid var(--rule); vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--faint); }
.n { text-align: right; white-space: nowrap; }
#settings td { max-width: 16rem; overflow-wrap: anywhere; }
.best > * { font-weight: 600; }
tbody tr.sum > * { border-top: 1px solid var(--rule); font-weight: 600; }
td, tbody th { overflow-wrap: break-word; }
.wide + .wide { margin-top: 1.5rem; }
.bar { display: inline-block; width: 7rem; height: .6rem; background: var(--faint); }
.bar::before { content: ""; display: block; height: 100%; width: calc(var(--s) * 100%); background: var(--bar); }

.charts, .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1.8rem 2.4rem; }
.thirds { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1.5rem 2.4rem; }
.thirds .wide { margin: 0; }
.thirds table { width: 100%; table-layout: fixed; }
.thirds th:first-child { width: 57%; }
.thirds td { overflow-wrap: anywhere; }
.chart figcaption { color: var(--text); font-size: .95rem; font-weight: 600; margin: 0; }
.chart svg:not(.swatch) { display: block; width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.2rem; margin: 0; padding: 0; list-style: none; font-size: .82rem; }
.legend.pairs { display: grid; grid-template-columns: repeat(2, auto); justify-content: start; }
.swatch { margin-right: .4rem; vertical-align: -1px; }
svg text { fill: var(--quiet); font-size: 11.5px; }
.tx { text-anchor: middle; } .ty { text-anchor: end; }
.grid { stroke: var(--faint); } .axis { stroke: var(--quiet); fill: none; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.dashed { stroke-dasharray: 5 4; stroke-width: 1.6; }
.m { fill: currentColor; stroke: transparent; stroke-width: 14; paint-order: stroke; pointer-events: all; }
.dense .m { fill: transparent; }
.m:hover { fill: var(--text); }
.ring { fill: none; stroke: currentColor; stroke-width: 1.6; }

.confusion th, .confusion td { border: 0; padding: 0; }
.confusion tbody th { padding-right: .6rem; white-space: nowrap; text-align: right; vertical-align: middle; }
.confusion thead th { text-align: center; }
.confusion thead span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); padding-top: .4rem; }
.confusion tbody td {
  width: 2.6rem; min-width: 2rem; height: 2.1rem; text-align: center; vertical-align: middle;
  border: 1px solid var(--background); background: rgb(var(--matrix) / var(--s)); background-clip: padding-box;
}
.confusion td.deep { color: var(--deep); }

img { image-rendering: pixelated; max-width: 100%; height: auto; display: block; }
.filters figcaption { margin: .6rem 0 0; max-width: 42rem; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.6rem, 1fr)); gap: 1.4rem 1rem; }
.mistakes figcaption { margin: .35rem 0 0; color: var(--text); line-height: 1.4; overflow-wrap: anywhere; }
.mistakes .quiet { font-size: .95em; }
details > summary { cursor: pointer; margin: 1rem 0; }

@media print {
  :root {
    --background: #ffffff; --text: #000000; --quiet: #444444; --rule: #bbbbbb; --faint: #e5e5e5; --notice: #ffffff;
    --matrix: 8 58 117; --bar: #3b78b5;
    --c0: #0072b2; --c1: #c44e00; --c2: #00795a; --c3: #a83c82; --c4: #8a6500; --c5: #4a4f57;
  }
  body { max-width: none; padding: 0; font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr, h2 { break-inside: avoid; }
  h2 { break-after: avoid; }
}
)";

}  // namespace alexnet
