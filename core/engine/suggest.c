/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions; see suggest.h. A request takes several devices if each of them has what it wants, so
 * what it can have is the answer of the device that comes last among the best. Which devices are
 * taken is decided elsewhere; quotas are asked for those that count most.
 */
#include "suggest.h"

#include "fairshare.h"
#include "partition.h"

/* The greatest answers so far, descending; as many as are taken. */
struct best {
    int64_t answer[SHARE_MAX];
};

static void best_add(struct best *best, uint32_t take, int64_t answer)
{
    for (uint32_t i = 0; i < take && i < SHARE_MAX; i++) {
        int64_t other = best->answer[i];
        if (answer > other) {
            best->answer[i] = answer;
            answer = other;
        }
    }
}

/* Return the last of the best; 0: so many cannot be taken. */
static int64_t best_all(const struct best *best, uint32_t take)
{
    return take >= 1 && take <= SHARE_MAX ? best->answer[take - 1] : 0;
}

/* Return the share of a site that is free for `duration_ns`, in millionths. */
static int64_t free_ppm(const struct suggest *suggest, const struct suggest_site *site,
                        int64_t duration_ns)
{
    int64_t peak = timeline_peak(site->timeline, suggest->start_ns,
                                 timeline_later(suggest->start_ns, duration_ns));

    if (peak < 0 || (uint64_t)peak >= site->memory_bytes)
        return 0;
    return fairshare_part_ppm(site->memory_bytes - (uint64_t)peak, site->memory_bytes);
}

uint32_t suggest_largest(const struct suggest *suggest, int64_t duration_ns, uint32_t most_ppm)
{
    struct best best = {{0}};

    for (size_t i = 0; i < suggest->site_count; i++)
        best_add(&best, suggest->take, free_ppm(suggest, &suggest->sites[i], duration_ns));
    int64_t largest = best_all(&best, suggest->take);
    if (largest > most_ppm)
        largest = most_ppm;
    if (largest > 0 && suggest->scope)
        largest = (int64_t)(quota_largest(suggest->scope, suggest->start_ns, duration_ns,
                                          (uint64_t)largest * suggest->take) /
                            suggest->take);
    return (uint32_t)largest;
}

/* Return how long a site has room for `bytes`, at most most_ns. */
static int64_t free_ns(const struct suggest *suggest, const struct suggest_site *site,
                       uint64_t bytes, int64_t most_ns)
{
    if (bytes == 0 || bytes > site->memory_bytes)
        return 0;
    int64_t limit = (int64_t)(site->memory_bytes - bytes);
    if (timeline_value(site->timeline, suggest->start_ns) > limit)
        return 0;
    int64_t until_ns = timeline_exceeds(site->timeline, suggest->start_ns, limit);
    wide longest_ns = (wide)until_ns - suggest->start_ns;
    return until_ns == TIMELINE_NEVER || longest_ns > most_ns ? most_ns : (int64_t)longest_ns;
}

int64_t suggest_longest(const struct suggest *suggest, const struct amount *amount, int64_t most_ns)
{
    struct best best = {{0}};
    uint64_t ppm = 0;

    for (size_t i = 0; i < suggest->site_count; i++) {
        const struct suggest_site *site = &suggest->sites[i];
        uint64_t bytes = units_amount_bytes(amount, site->memory_bytes);
        int64_t site_ns = free_ns(suggest, site, bytes, most_ns);
        uint64_t counts = site_ns ? fairshare_dominant_ppm(bytes, site->memory_bytes, 0) : 0;

        best_add(&best, suggest->take, site_ns);
        ppm = counts > ppm ? counts : ppm;
    }
    int64_t longest_ns = best_all(&best, suggest->take);
    if (longest_ns > 0 && suggest->scope)
        longest_ns =
            quota_longest(suggest->scope, ppm * suggest->take, suggest->start_ns, longest_ns);
    return longest_ns - longest_ns % NS_PER_SECOND;
}
