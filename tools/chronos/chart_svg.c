/* SPDX-License-Identifier: Apache-2.0 */
/* Draw plans as an SVG document; see chart.h. */
#include "chart.h"
#include "output.h"

#include "core/base/array.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 70, WIDTH = 900, RIGHT = 30, HEAD = 34, HEIGHT = 150, AXIS = 26, GAP = 14, KEY = 24 };
enum { LETTER = 7 }; /* width of one, about */

/* Colours that people who see colours differently can tell apart (Okabe and Ito, 2008). */
static const char *const colours[] = {"#e69f00", "#56b4e9", "#009e73", "#f0e442",
                                      "#0072b2", "#d55e00", "#cc79a7", "#999999"};

#define GREY "#666" /* of the key */

struct user {
    const char *name;
};
struct drawing {
    const struct chart_window *window;
    struct user *users; /* by name */
    size_t user_count;
    bool waits, reserves; /* some do */
    struct chart_tick ticks[CHART_TICKS];
    size_t tick_count;
};

static int compare_users(const void *a, const void *b)
{
    return strcmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

static const char *user_of(const struct chart_lease *lease)
{
    return lease->partition.record.value[CHRONOS_PARTITION_USER];
}

/* Each user has the colour of its place among all that are shown. */
static bool find_users(const struct chart *charts, size_t count, struct drawing *drawing)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most += charts[i].count;
    drawing->users = calloc(most ? most : 1, sizeof(*drawing->users));
    if (!drawing->users)
        return false;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < charts[i].count; k++) {
            const struct chart_lease *lease = &charts[i].leases[k];
            drawing->users[drawing->user_count++].name = user_of(lease);
            drawing->reserves = drawing->reserves || lease->fixed;
            drawing->waits = drawing->waits || (lease->pending && !lease->fixed);
        }
    }
    qsort(drawing->users, drawing->user_count, sizeof(*drawing->users), compare_users);
    size_t kept = 0;
    for (size_t i = 0; i < drawing->user_count; i++) {
        if (kept == 0 || strcmp(drawing->users[kept - 1].name, drawing->users[i].name) != 0)
            drawing->users[kept++] = drawing->users[i];
    }
    drawing->user_count = kept;
    return true;
}

static size_t colour_of(const struct drawing *drawing, const char *name)
{
    struct user key = {name}, *found = bsearch(&key, drawing->users, drawing->user_count,
                                               sizeof(*drawing->users), compare_users);
    return found ? (size_t)(found - drawing->users) % ARRAY_COUNT(colours) : 0;
}

static void put_text(const char *string)
{
    const unsigned char *text = (const unsigned char *)string;
    for (size_t length; *text != '\0'; text += length) {
        length = utf8_length(text);
        if (length == 0) {
            fputs("\xef\xbf\xbd", stdout); /* U+FFFD */
            length = 1;
        } else if (*text == '<' || *text == '&') {
            fputs(*text == '<' ? "&lt;" : "&amp;", stdout);
        } else {
            fwrite(text, 1, length, stdout);
        }
    }
}

static double x_of(const struct drawing *drawing, time_t at)
{
    const struct chart_window *window = drawing->window;
    at = at < window->from ? window->from : at > window->to ? window->to : at;
    return LEFT + (double)(at - window->from) / (double)(window->to - window->from) * WIDTH;
}

static double height_of(const struct chart *chart, uint64_t bytes)
{
    return chart->bytes > 0 ? (double)bytes / (double)chart->bytes * HEIGHT : 0;
}

static void put_title(const struct chart_lease *lease)
{
    const char(*value)[CHRONOS_VALUE_MAX] = lease->partition.record.value;
    char share[64], size[64];
    output_share_text(value[CHRONOS_PARTITION_FRACTION], share, sizeof(share));
    output_bytes_text(lease->bytes, size, sizeof(size));
    printf("<title>%s ", lease->partition.id);
    put_text(user_of(lease));
    if (value[CHRONOS_PARTITION_NAME][0] != '\0') {
        putchar(' ');
        put_text(value[CHRONOS_PARTITION_NAME]);
    }
    printf(": ");
    put_text(share);
    printf(", %s, ", size);
    put_text(value[CHRONOS_PARTITION_START]);
    printf(" to ");
    put_text(value[CHRONOS_PARTITION_EXPIRES]);
    printf("</title>");
}

static void put_lease(const struct drawing *drawing, const struct chart *chart, double bottom,
                      const struct chart_lease *lease)
{
    double left = x_of(drawing, lease->start), width = x_of(drawing, lease->end) - left;
    size_t colour = colour_of(drawing, user_of(lease)), widest = 0;
    if (lease->start >= drawing->window->to)
        return;
    printf("<g>");
    put_title(lease);
    for (size_t i = 0; i < lease->band_count; i++) {
        const struct chart_band *band = &lease->bands[i];
        printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"", left,
               bottom - height_of(chart, band->to), width > 1 ? width : 1,
               height_of(chart, band->to - band->from));
        if (lease->pending)
            printf("url(#%s%zu)\" stroke=\"%s\"/>", lease->fixed ? "fixed" : "waiting", colour,
                   colours[colour]);
        else
            printf("%s\" stroke=\"#fff\"/>", colours[colour]);
        if (band->to - band->from > lease->bands[widest].to - lease->bands[widest].from)
            widest = i;
    }
    if (lease->band_count > 0) {
        const struct chart_band *band = &lease->bands[widest];
        const char *id = lease->partition.id, *user = user_of(lease);
        double letters = (width - 8) / LETTER;
        double middle = (height_of(chart, band->from) + height_of(chart, band->to)) / 2;
        bool whole = (double)(strlen(id) + 1 + strlen(user)) <= letters;
        if (height_of(chart, band->to - band->from) >= 12 && (double)strlen(id) <= letters) {
            printf("<text x=\"%.1f\" y=\"%.1f\" class=\"in\">%s", left + 4, bottom - middle + 4,
                   id);
            if (whole) {
                putchar(' ');
                put_text(user);
            }
            printf("</text>");
        }
    }
    printf("</g>\n");
}

static void put_chart(const struct drawing *drawing, const struct chart *chart, int top)
{
    double bottom = top + HEAD + HEIGHT;
    char size[64];
    output_bytes_text(chart->bytes, size, sizeof(size));
    printf("<text x=\"%d\" y=\"%d\" class=\"head\">gpu%u: ", LEFT, top + HEAD - 10,
           chart->device.index);
    put_text(chart->device.record.value[CHRONOS_DEVICE_NAME]);
    printf(", %s</text>\n", size);
    for (int quarter = 0; quarter <= 4; quarter++) {
        double y = bottom - HEIGHT * quarter / 4.0;
        printf("<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
               "<text x=\"%d\" y=\"%.1f\" class=\"left\">%d%%</text>\n",
               LEFT, y, LEFT + WIDTH, y, LEFT - 8, y + 4, quarter * 25);
    }
    for (size_t i = 0; i < drawing->tick_count; i++) {
        double x = x_of(drawing, drawing->ticks[i].at);
        printf("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\"/>"
               "<text x=\"%.1f\" y=\"%.1f\" class=\"axis\">%s</text>\n",
               x, top + HEAD, x, bottom, x, bottom + 16, drawing->ticks[i].text);
    }
    for (size_t i = 0; i < chart->count; i++)
        put_lease(drawing, chart, bottom, &chart->leases[i]);
}

/* Print an entry of the key. Return where the next one begins. */
static int put_entry(int x, int y, const char *fill, const char *text)
{
    printf("<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\" stroke=\"%s\"/>"
           "<text x=\"%d\" y=\"%d\">",
           x, y, fill, GREY, x + 17, y + 11);
    put_text(text);
    printf("</text>\n");
    return x + 17 + LETTER * (int)strlen(text) + 20;
}

static void put_key(const struct drawing *drawing, int y)
{
    int x = LEFT;
    for (size_t i = 0; i < drawing->user_count && x < LEFT + WIDTH - 60; i++)
        x = put_entry(x, y, colours[i % ARRAY_COUNT(colours)], drawing->users[i].name);
    if (drawing->waits)
        x = put_entry(x, y, "url(#waiting-key0)", "waiting");
    if (drawing->reserves)
        put_entry(x, y, "url(#fixed-key0)", "reserved");
}

/* Print the pattern of what has not started. */
static void put_pattern(const char *name, size_t number, int angle, const char *colour)
{
    printf("<pattern id=\"%s%zu\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
           "patternTransform=\"rotate(%d)\"><rect width=\"6\" height=\"6\" fill=\"#fff\"/>"
           "<rect width=\"3\" height=\"6\" fill=\"%s\"/></pattern>",
           name, number, angle, colour);
}

static void put_head(const struct drawing *drawing, int height)
{
    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
           "viewBox=\"0 0 %d %d\">\n"
           "<style>text{font:12px sans-serif;fill:#222}.head{font-weight:bold}"
           ".left{text-anchor:end}.axis{text-anchor:middle}.in{font-size:11px;fill:#000;"
           "paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
           "line{stroke:#ddd}g rect{stroke-width:1}</style>\n"
           "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<defs>",
           LEFT + WIDTH + RIGHT, height, LEFT + WIDTH + RIGHT, height);
    for (size_t i = 0; i < ARRAY_COUNT(colours) && i < drawing->user_count; i++) {
        put_pattern("waiting", i, 45, colours[i]);
        put_pattern("fixed", i, -45, colours[i]);
    }
    put_pattern("waiting-key", 0, 45, GREY);
    put_pattern("fixed-key", 0, -45, GREY);
    printf("</defs>\n");
}

void chart_print_svg(const struct chart *charts, size_t count, const struct chart_window *window)
{
    struct drawing drawing = {.window = window};
    if (!find_users(charts, count, &drawing))
        return;
    drawing.tick_count = chart_ticks(window, drawing.ticks);
    put_head(&drawing, (int)count * (HEAD + HEIGHT + AXIS + GAP) + KEY + GAP);
    for (size_t i = 0; i < count; i++)
        put_chart(&drawing, &charts[i], (int)i * (HEAD + HEIGHT + AXIS + GAP));
    put_key(&drawing, (int)count * (HEAD + HEIGHT + AXIS + GAP) + 6);
    printf("</svg>\n");
    free(drawing.users);
}
