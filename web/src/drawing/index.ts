// The drawing core: plain TypeScript, no framework, no network. The pages' views, the HTML reports
// and notebooks draw through it.
//
// Each kind is a class on an element: `new HeatMap(host, {label, onHover, onPick, …})`, then
// `.show(data)` as often as there is data, `.mark(…)` for what is selected, `.destroy()`.
// `.chart` is what export and table take: `saveAs(map.chart!, "svg", {title})`, `tableOf(map.chart!)`.

export { HeatMap, type CellAt, type HeatMapOptions } from "./heatmap";
export { HeatMapChart, type GridMarks, type HeatMapData } from "./heatmap_chart";
export { Matrix, type MatrixOptions } from "./matrix";
export { MatrixChart, type MatrixData, type Sight } from "./matrix_chart";
export { ThumbChart, type HeadMarks, type ThumbData } from "./thumb_chart";
export { ThumbGrid, type HeadAt, type ThumbOptions } from "./thumbs";
export { exportCsv, exportJson, exportPng, exportSvg, fileName, saveAs, saveBlob, type FileKind, type SheetOptions } from "./export";
export { tableElement, tableOf, type TableOptions } from "./table";
export { Stage, type StageOptions } from "./stage";
export type { Chart, Plan, TableData } from "./chart";
export { exact, number, shownLabel, visible } from "./numerals";
export { colourRange, rampCss, type Colouring, type Scale } from "./palette";
export { asFloats, fromHalf } from "./half";
export { inksOf, onTheme, themeChanged, themeName, themed, type Theme, type ThemeName } from "./theme";
export { announce, hideTip, showTip } from "./tip";
export { ArcChart, Arcs, type ArcData, type ArcMarks, type ArcOptions } from "./arcs";
export { TokenStrip, type TokenData, type TokenOptions } from "./tokens";
export { Bars, BarsChart, type BarsData, type BarsMarks } from "./bars";
export { legendOf, Lines } from "./lines";
export { LinesChart, type LinesData, type LinesMarks, type SeriesData } from "./lines_chart";
export { Graph } from "./graph";
export { GraphChart, type GraphData, type GraphMarks } from "./graph_chart";
