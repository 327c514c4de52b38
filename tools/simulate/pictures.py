# SPDX-License-Identifier: Apache-2.0
"""Drawings (SVG) of the figures: the same figures give the same bytes."""
import math

# Told apart by people who see colours differently (Okabe and Ito, 2008).
COLOURS = {'fair': '#0072b2', 'arrival': '#56b4e9', 'easy': '#d55e00', 'fcfs': '#999999',
           'slack': '#009e73'}
LEFT, TOP, WIDTH, HEIGHT, KEY = 56, 40, 560, 260, 190
HOURS = (0.1, 1, 10, 100, 1000)


class Drawing:
    """A frame with hours upwards, ten times as many at each line."""

    def __init__(self, title, least, most):
        self.least, self.most = math.log10(least), math.log10(most)
        self.out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + KEY} '
                    f'{TOP + HEIGHT + 44}" font-family="sans-serif" font-size="12">',
                    f'<title>{title}</title>',
                    '<rect width="100%" height="100%" fill="white"/>']
        self.text(LEFT, 22, title, size=14)
        for hours in HOURS:
            if least <= hours <= most:
                y = self.height(hours)
                self.out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}" '
                                'stroke="#ddd"/>')
                self.text(LEFT - 6, y + 4, f'{hours:g} h', 'end')

    def height(self, hours):
        part = (math.log10(max(hours, 1e-9)) - self.least) / (self.most - self.least)
        return TOP + HEIGHT * (1 - min(1, max(0, part)))

    def text(self, x, y, text, anchor='start', size=12):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
                        f'font-size="{size}">{text}</text>')

    def key(self, names):
        """Name colours at the right, in pairs of a rule and its words."""
        for row, (colour, words, dashed) in enumerate(names):
            y = TOP + 20 + 22 * row
            style = ' stroke-dasharray="6 3"' if dashed else ''
            self.out.append(f'<line x1="{LEFT + WIDTH + 12}" y1="{y}" x2="{LEFT + WIDTH + 36}" '
                            f'y2="{y}" stroke="{colour}" stroke-width="4"{style}/>')
            self.text(LEFT + WIDTH + 42, y + 4, words)

    def end(self):
        return '\n'.join(self.out + ['</svg>', ''])


def waits(figures, loads, rules, names):
    """Mean waits as bars; figures[load][rule] are those of a run."""
    drawing = Drawing('Mean wait in hours, by how much of the devices is asked for', 1, 1000)
    group = WIDTH / len(loads)
    bar = group * 0.8 / len(rules)
    for column, load in enumerate(loads):
        for place, rule in enumerate(rules):
            hours = figures[load][rule]['wait']
            x, y = LEFT + column * group + group * 0.1 + place * bar, drawing.height(hours)
            drawing.out.append(f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{bar - 4:.1f}" '
                               f'height="{TOP + HEIGHT - y:.1f}" fill="{COLOURS[rule]}">'
                               f'<title>{names[rule]}: {hours:.1f} h</title></rect>')
            drawing.text(x + bar / 2, y - 4, f'{hours:.1f}', 'middle', 11)
        drawing.text(LEFT + (column + 0.5) * group, TOP + HEIGHT + 20, f'{100 * load:.0f} %',
                     'middle')
    drawing.key([(COLOURS[rule], names[rule], False) for rule in rules])
    return drawing.end()


def promises(outcomes, load, names):
    """Waits as promised and as they were, each sorted; outcomes[rule] are those of all runs."""
    drawing = Drawing(f'Waits at {100 * load:.0f} %: as told at first, and real', 0.1, 1000)
    curves = []
    for rule in ('easy', 'fair'):
        real = [o.wait_s() / 3600 for o in outcomes[rule]]
        told = [(o.promised_s - o.job.submit_s) / 3600 for o in outcomes[rule]]
        word = 'foreseen' if rule == 'easy' else 'promised'
        curves += [(rule, told, True, f'{names[rule]}, {word}'),
                   (rule, real, False, f'{names[rule]}, real')]
    for rule, values, dashed, _ in curves:
        values = sorted(values)
        points = []
        for step in range(201):
            hours = values[min(len(values) - 1, step * len(values) // 200)]
            points.append(f'{LEFT + WIDTH * step / 200:.1f},{drawing.height(hours):.1f}')
        style = ' stroke-dasharray="6 3"' if dashed else ''
        drawing.out.append(f'<polyline points="{" ".join(points)}" fill="none" '
                           f'stroke="{COLOURS[rule]}" stroke-width="2"{style}/>')
    for part in range(0, 101, 25):
        drawing.text(LEFT + WIDTH * part / 100, TOP + HEIGHT + 20, f'{part} %', 'middle')
    drawing.text(LEFT + WIDTH / 2, TOP + HEIGHT + 38, 'of the jobs wait no longer', 'middle')
    drawing.key([(COLOURS[rule], words, dashed) for rule, _, dashed, words in curves])
    return drawing.end()
