"""A run as a table for the terminal and as one page for a browser: no network, plots as inline SVG."""
import html as _html
import math

import goals

HISTORY_MAX = 40
COLUMNS = ("figure", "value", "unit", "95 % interval", "ratio", "baseline", "goal", "met", "")


def number(v):
    if v is None:
        return ""
    if v == 0:
        return "0"
    if abs(v) >= 100000:
        return f"{v:,.0f}"
    digits = max(0, 3 - int(math.floor(math.log10(abs(v)))) - 1) if abs(v) < 1000 else 0
    return f"{v:,.{min(digits, 4)}f}"


def _rows(entry):
    """(part title, [(line, cells)])"""
    for key, title, _ in goals.PARTS:
        rows = []
        for made in entry["lines"]:
            if goals.part_of(made["name"]) != key:
                continue
            answers = [(g, goals.judge(g, goals.Lines([made]))) for g in goals.goals_of(made)]
            answers = [(g, a) for g, a in answers if a]
            wanted = ", ".join(g.wanted() + (" x" if g.of[2] == "ratio" else "") for g, _ in answers)
            met = ", ".join("yes" if a[1] else "no" for _, a in answers)
            said = "noisy" if made["noisy"] else ""
            if made.get("note"):
                said = f"{said}; {made['note']}" if said else made["note"]
            rows.append((made, (made["name"], number(made["value"]), made["unit"],
                                f"{number(made['low'])} to {number(made['high'])}", number(made["ratio"]),
                                made["baseline"] or "", wanted, met, said)))
        if rows:
            yield title, rows


def table(entry, out):
    parts = list(_rows(entry))
    cells = [c for _, rows in parts for _, c in rows] + [COLUMNS]
    wide = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    right = {1, 4}

    def show(row):
        return "  ".join(c.rjust(wide[i]) if i in right else c.ljust(wide[i]) for i, c in enumerate(row)).rstrip()

    for title, rows in parts:
        print(f"\n{title}\n{show(COLUMNS)}", file=out)
        for _, row in rows:
            print(show(row), file=out)
    answers = goals.judged(entry["lines"])
    if answers:
        print("\nGoals", file=out)
        for goal, found, met, noisy in answers:
            print(f"  {'met   ' if met else 'MISSED'} {goal.bar:3}  {goal.text}: {number(found)}, wanted {goal.wanted()}"
                  f"{'  (noisy)' if noisy else ''}", file=out)
        met = sum(1 for _, _, good, _ in answers if good)
        print(f"  {met} of {len(answers)} met", file=out)
    for what, why in entry["left_out"]:
        print(f"left out: {what}: {why.splitlines()[0]}", file=out)
    for text in entry["errors"]:
        print(f"WRONG: {text}", file=out)


def markdown(entry, out):
    """The same as tables of docs/benchmark.md."""
    for title, rows in _rows(entry):
        print(f"\n### {title}\n\n| Figure | Value | 95 % interval | Ratio | Goal | Met | |\n|---|---|---|---|---|---|---|", file=out)
        for _, (name, value, unit, between, ratio, baseline, wanted, met, said) in rows:
            times = f"{ratio} x {baseline}" if ratio else ""
            print(f"| `{name}` | {value} {unit} | {between} | {times} | {wanted} | {met} | {said} |", file=out)
    print("\n### Goals\n\n| Bar | | Found | Goal | |\n|---|---|---|---|---|", file=out)
    for goal, found, met, noisy in goals.judged(entry["lines"]):
        print(f"| {goal.bar} | {goal.text} | {number(found)} | {goal.wanted()} | {'met' if met else 'missed'}"
              f"{', noisy' if noisy else ''} |", file=out)


# --- the page ---

STYLE = """
:root{--ink:#1b1f24;--soft:#5b6470;--line:#d8dde3;--paper:#fff;--band:#f5f7f9;--good:#1a7f5a;--bad:#b45309;--blue:#2563a8}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--line:#333b45;--paper:#14181d;--band:#1b2027;
--good:#4cc38a;--bad:#f0a35e;--blue:#7ab3ef}}
*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:1.5rem;font:15px/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--paper)}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.3rem 0;color:var(--soft);max-width:60rem}.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}
.tile{border:1px solid var(--line);border-radius:6px;padding:.5rem 1rem;min-width:8rem}.tile b{display:block;
font-size:1.5rem;line-height:1.2}.tile span{color:var(--soft);font-size:.85rem}.wide{overflow-x:auto}
table{border-collapse:collapse;table-layout:fixed;width:100%;min-width:60rem;font-size:13px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500;border-bottom:1px solid var(--line)}
td,th{padding:.25rem .5rem;vertical-align:middle;overflow-wrap:anywhere}td.r,th.r{text-align:right}
tbody tr:nth-child(even){background:var(--band)}.good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}
.many{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}figure{margin:0;border:1px solid
var(--line);border-radius:6px;padding:.6rem}figcaption{font-size:13px;margin-bottom:.3rem}svg{display:block;max-width:100%}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .s{fill:var(--soft)}code{font-size:13px}
"""


def _e(text):
    return _html.escape(str(text))


def _svg(width, height, body, label):
    return (f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{_e(label)}">{body}</svg>')


def _goal_plot(answers):
    """How far each figure is from its goal: the line in the middle is the goal, right of it is better."""
    left, plot, step = 340, 460, 22
    middle, reach = left + plot / 2, 3.0  # eight times worse to eight times better
    top = 26
    height = top + step * len(answers) + 6
    body = []
    for power in range(-3, 4):
        x = middle + power / reach * plot / 2
        said = "goal" if power == 0 else f"{2 ** abs(power)}x {'better' if power > 0 else 'worse'}"
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 4}" stroke="var(--line)" '
                    f'stroke-width="{2 if power == 0 else 1}"/><text class="s" x="{x:.1f}" y="12" text-anchor="middle">{said}</text>')
    for i, (goal, found, met, noisy) in enumerate(answers):
        y = top + step * i + step / 2
        quotient = found / goal.bound if goal.op == ">=" else goal.bound / found if found else 8
        x = middle + max(-reach, min(reach, math.log2(max(quotient, 1e-6)))) / reach * plot / 2
        color = "var(--good)" if met else "var(--bad)"
        fill = "var(--paper)" if noisy else color
        said = f"{number(found)} ({goal.wanted()}){' noisy' if noisy else ''}"
        body.append(f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{goal.bar}. {_e(goal.text)}</text>'
                    f'<line x1="{middle}" x2="{x:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" stroke-width="3"/>'
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{color}" stroke-width="2"/>'
                    f'<text class="s" x="{left + plot + 14}" y="{y + 4:.1f}">{"met" if met else "missed"}: {_e(said)}</text>')
    return _svg(left + plot + 250, height, "".join(body), "distance of each figure from its goal")


def _ratio_plot(lines):
    """Own over baseline, on a scale of powers of ten; below 1 is better for times, above for rates."""
    rows = [made for made in lines if made["ratio"] and made["ratio"] > 0]
    if not rows:
        return ""
    logs = [math.log10(made["ratio"]) for made in rows] + [0]
    low, high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)
    left, plot, step, top = 340, 460, 20, 24
    height = top + step * len(rows) + 6

    def at(v):
        return left + (v - low) / (high - low) * plot

    body = []
    for power in range(low, high + 1):
        body.append(f'<line x1="{at(power):.1f}" x2="{at(power):.1f}" y1="{top - 6}" y2="{height - 4}" stroke="var(--line)" '
                    f'stroke-width="{2 if power == 0 else 1}"/><text class="s" x="{at(power):.1f}" y="12" '
                    f'text-anchor="middle">{10.0 ** power:g}</text>')
    for i, made in enumerate(rows):
        y, x = top + step * i + step / 2, at(math.log10(made["ratio"]))
        fill = "var(--paper)" if made["noisy"] else "var(--blue)"
        body.append(f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{_e(made["name"])} / {_e(made["baseline"])}</text>'
                    f'<line x1="{at(0):.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--blue)" stroke-width="2"/>'
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="var(--blue)" stroke-width="2"/>'
                    f'<text class="s" x="{left + plot + 14}" y="{y + 4:.1f}">{number(made["ratio"])}'
                    f'{" noisy" if made["noisy"] else ""}</text>')
    return _svg(left + plot + 110, height, "".join(body), "ratio of each figure to its baseline")


def _whisker(made):
    """The interval beside its value, a tenth of the value either way."""
    value, width, height = made["value"], 120, 14
    if not value:
        return ""

    def at(v):
        return width / 2 + max(-1, min(1, (v / value - 1) / 0.1)) * (width / 2 - 4)

    return _svg(width, height, f'<line x1="0" x2="{width}" y1="7" y2="7" stroke="var(--line)"/>'
                f'<line x1="{at(made["low"]):.1f}" x2="{at(made["high"]):.1f}" y1="7" y2="7" stroke="var(--blue)" stroke-width="5"/>'
                f'<circle cx="{width / 2}" cy="7" r="2.5" fill="var(--ink)"/>', "interval, a tenth either way")


COLUMNS_WIDE = "<colgroup>" + "".join(f'<col style="width:{w}%">' for w in (20, 8, 12, 11, 7, 8, 15, 6, 13)) + "</colgroup>"


def _tables(entry):
    made_html = []
    for title, rows in _rows(entry):
        head = "".join(f'<th class="{"r" if i in (1, 4) else ""}">{_e(c)}</th>' for i, c in enumerate(COLUMNS[:-1]))
        body = []
        for made, cells in rows:
            shown = []
            for i, cell in enumerate(cells):
                if i == 3:
                    shown.append(f'<td title="{_e(cell)}">{_whisker(made)}</td>')
                elif i == 7:
                    kind = "bad" if "no" in cell.split(", ") else "good"
                    shown.append(f'<td class="{kind}">{_e(cell)}</td>')
                elif i == 8:
                    shown.append(f'<td class="soft">{_e(cell)}</td>')
                else:
                    shown.append(f'<td class="{"r" if i in (1, 4) else ""}">{_e(cell)}</td>')
            body.append(f"<tr>{''.join(shown)}</tr>")
        made_html.append(f'<h2>{_e(title)}</h2><div class="wide"><table>{COLUMNS_WIDE}<thead><tr>{head}<th></th></tr></thead>'
                         f'<tbody>{"".join(body)}</tbody></table></div>')
    return "".join(made_html)


def _history(entry, runs):
    """Each figure over the runs of this machine, oldest first; hollow points are noisy."""
    runs = [r for r in runs if isinstance(r, dict) and r.get("lines")][-HISTORY_MAX:]
    if len(runs) < 2:
        return "<p>One run so far: history begins with the second.</p>"
    shown = []
    wanted = []
    for made in entry["lines"]:
        key = (made["name"], made["baseline"])
        if key not in wanted and not any(w[0] == made["name"] for w in wanted):
            wanted.append(key)
    for name, baseline in wanted:
        points = []
        for i, r in enumerate(runs):
            for made in r["lines"]:
                if made.get("name") == name and made.get("baseline") == baseline:
                    points.append((i, made, r))
                    break
        if len(points) >= 2:
            shown.append(_history_plot(name, points, len(runs)))
    return f'<div class="many">{"".join(shown)}</div>'


def _history_plot(name, points, n):
    width, height, left, bottom = 320, 110, 52, 16
    low = min(made["low"] for _, made, _ in points)
    high = max(made["high"] for _, made, _ in points)
    if high == low:
        low, high = low - abs(low) * 0.05 - 1e-9, high + abs(high) * 0.05 + 1e-9

    def x(i):
        return left + i / max(1, n - 1) * (width - left - 10)

    def y(v):
        return 8 + (high - v) / (high - low) * (height - bottom - 14)

    body = [f'<text class="s" x="{left - 6}" y="12" text-anchor="end">{number(high)}</text>'
            f'<text class="s" x="{left - 6}" y="{height - bottom}" text-anchor="end">{number(low)}</text>'
            f'<line x1="{left}" x2="{left}" y1="6" y2="{height - bottom}" stroke="var(--line)"/>']
    path = " ".join(f"{x(i):.1f},{y(made['value']):.1f}" for i, made, _ in points)
    body.append(f'<polyline points="{path}" fill="none" stroke="var(--blue)" stroke-width="1.5"/>')
    for i, made, r in points:
        body.append(f'<line x1="{x(i):.1f}" x2="{x(i):.1f}" y1="{y(made["low"]):.1f}" y2="{y(made["high"]):.1f}" '
                    f'stroke="var(--blue)" stroke-opacity=".4" stroke-width="3"/><circle cx="{x(i):.1f}" '
                    f'cy="{y(made["value"]):.1f}" r="3" fill="{"var(--paper)" if made["noisy"] else "var(--blue)"}" '
                    f'stroke="var(--blue)"><title>{_e((r.get("commit") or "?")[:9])} {_e(r.get("time", ""))} {_e(r.get("mode", ""))}: '
                    f'{number(made["value"])} {_e(made["unit"])}</title></circle>')
    first, last = points[0][2], points[-1][2]
    body.append(f'<text class="s" x="{left}" y="{height - 2}">{_e((first.get("commit") or "?")[:9])}</text>'
                f'<text class="s" x="{width - 8}" y="{height - 2}" text-anchor="end">{_e((last.get("commit") or "?")[:9])}</text>')
    unit = points[-1][1]["unit"]
    return (f"<figure><figcaption><code>{_e(name)}</code> <span class=soft>{_e(unit)}</span></figcaption>"
            f"{_svg(width, height, ''.join(body), name + ' over runs')}</figure>")


def html(path, entry, runs):
    answers = goals.judged(entry["lines"])
    m = entry["machine"]
    met = sum(1 for a in answers if a[2])
    noise = entry["noise"]
    tiles = [(f"{met} of {len(answers)}", "goals met"), (noise["lines"], "figures"),
             (noise["noisy"], "of them noisy"), (f"{noise['steal']:.2%}", "time stolen by the hypervisor"),
             (f"{entry['seconds']} s", f"{entry['mode']} run")]
    facts = [f"{m.get('cpu', '?')}, {m.get('cores', '?')} cores, core {m.get('core_ghz', '?')} GHz, time stamp counter "
             f"{m.get('tsc_ghz', '?')} GHz, a cache line there and back between the first two in {m.get('pingpong_ns', '?')} ns",
             f"Linux {m.get('kernel', '?')}, {'virtual machine' if m.get('hypervisor') else 'no hypervisor'}, page-table "
             f"isolation: {m.get('page_table_isolation', '?')}; gcc {m.get('compiler', '?')} {m.get('flags', '')}; "
             f"{m.get('dpdk', '')}; hugepages of 2 MB: {m.get('hugepages', '?')}"]
    omitted = "".join(f"<p>Left out: {_e(what)}: {_e(why)}</p>" for what, why in entry["left_out"])
    wrong = "".join(f'<p class="bad">Wrong: {_e(text)}</p>' for text in entry["errors"])
    commit = f"{(entry['commit'] or '?')[:12]}{' with changes' if entry['changed'] else ''}"
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Turnpike bench {_e(commit)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>
<h1>Turnpike bench</h1><p>Commit <code>{_e(commit)}</code> {_e(entry.get('subject') or '')}, {_e(entry['time'])}</p>
{''.join(f'<p>{_e(f)}</p>' for f in facts)}
<div class="tiles">{''.join(f'<div class="tile"><b>{_e(v)}</b><span>{_e(t)}</span></div>' for v, t in tiles)}</div>{wrong}{omitted}
<h2>Goals</h2><p>The line in the middle is the goal; to the right is better. A hollow point is noisy: nothing is claimed from it.</p>
<div class="wide">{_goal_plot(answers) if answers else '<p>No figure with a goal.</p>'}</div>{_tables(entry)}
<h2>Ratios to the baselines of this run</h2><p>For times and octets less than 1 is better, for rates more.</p>
<div class="wide">{_ratio_plot(entry['lines'])}</div><h2>History on this machine</h2>{_history(entry, runs)}
</body></html>
"""
    with open(path, "w", encoding="utf-8") as f:
        f.write(page)
