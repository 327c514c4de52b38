/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage with forward decay; see fairshare.h. Integers only. F is exact at 256 points per half-life
 * and linear between them, so it never decreases, and it doubles exactly: what was booked a
 * half-life earlier weighs half, to the unit.
 */
#include "fairshare.h"

#define STEPS 256

/* 2^(48 + i / 256), rounded to nearest. tests/engine/test_fairshare.c computes it again. */
static const uint64_t powers[STEPS + 1] = {
    0x1000000000000, 0x100b1afa5abcc, 0x10163da9fb333, 0x102168143b028, 0x102c9a3e77806,
    0x1037d42e11bbd, 0x104315e86e7f8, 0x104e5f72f654b, 0x1059b0d315857, 0x10650a0e3c1f9,
    0x10706b29ddf6e, 0x107bd42b72a83, 0x10874518759bd, 0x1092bdf66607e, 0x109e3ecac6f38,
    0x10a9c79b1f392, 0x10b5586cf9891, 0x10c0f145e46c8, 0x10cc922b7247f, 0x10d83b23395df,
    0x10e3ec32d3d1a, 0x10efa55fdfa9c, 0x10fb66affed32, 0x11073028d7234, 0x111301d0125b5,
    0x111edbab5e2ab, 0x112abdc06c31d, 0x1136a814f204b, 0x11429aaea92de, 0x114e95934f313,
    0x115a98c8a58e5, 0x1166a45471c3c, 0x1172b83c7d518, 0x117ed48695bbc, 0x118af9388c8df,
    0x11972658375d3, 0x11a35beb6fcb7, 0x11af99f8138a2, 0x11bbe084045cd, 0x11c82f95281c7,
    0x11d4873168b9b, 0x11e0e75eb4402, 0x11ed5022fcd92, 0x11f9c18438ce5, 0x12063b88628cd,
    0x1212be3578a82, 0x121f49917ddc9, 0x122bdda27912d, 0x12387a6e75624, 0x12451ffb82141,
    0x1251ce4fb2a64, 0x125e85711ece7, 0x126b4565e27ce, 0x12780e341ddf3, 0x1284dfe1f5638,
    0x1291ba7591bb7, 0x129e9df51fdee, 0x12ab8a66d10f1, 0x12b87fd0dad99, 0x12c57e39771b3,
    0x12d285a6e4031, 0x12df961f64159, 0x12ecafa93e2f5, 0x12f9d24abd887, 0x1306fe0a31b71,
    0x131432edeeb30, 0x132170fc4cd83, 0x132eb83ba8ea3, 0x133c08b264170, 0x13496266e3fa3,
    0x1356c55f929ff, 0x136431a2de884, 0x1371a7373aa9d, 0x137f26231e755, 0x138cae6d05d86,
    0x139a401b7140f, 0x13a7db34e59ff, 0x13b57fbfec6cf, 0x13c32dc313a8e, 0x13d0e544ede17,
    0x13dea64c12342, 0x13ec70df1c517, 0x13fa4504ac802, 0x140822c367a02, 0x14160a21f72e3,
    0x1423fb2709469, 0x1431f5d950a89, 0x143ffa3f84b9d, 0x144e086061893, 0x145c2042a7d23,
    0x146a41ed1d005, 0x14786d668b323, 0x1486a2b5c13cd, 0x1494e1e192aed, 0x14a32af0d7d3e,
    0x14b17dea6db7d, 0x14bfdad5362a2, 0x14ce41b817c11, 0x14dcb299fddd1, 0x14eb2d81d8ac0,
    0x14f9b2769d2ca, 0x1508417f4531f, 0x1516daa2cf664, 0x15257de83f4ef, 0x15342b569d4f8,
    0x1542e2f4f6ad2, 0x1551a4ca5d921, 0x156070dde910d, 0x156f4736b527e, 0x157e27dbe2c4d,
    0x158d12d497c80, 0x159c0827ff07d, 0x15ab07dd48543, 0x15ba11fba87a0, 0x15c9268a5946b,
    0x15d84590998b9, 0x15e76f15ad215, 0x15f6a320dceb7, 0x1605e1b976dc1, 0x16152ae6cdf6f,
    0x16247eb03a558, 0x1633dd1d192a0, 0x16434634ccc32, 0x1652b9febc8fb, 0x1662388255222,
    0x1671c1c70833f, 0x168155d44ca97, 0x1690f4b19e954, 0x16a09e667f3bd, 0x16b052fa75174,
    0x16c012750bdac, 0x16cfdcddd4764, 0x16dfb23c651a3, 0x16ef9298593ae, 0x16ff7df951948,
    0x170f7466f42e8, 0x171f75e8ec5f7, 0x172f8286ead09, 0x173f9a48a5817, 0x174fbd35d7cc0,
    0x175feb564267d, 0x177024b1ab6e1, 0x1780694fde5d4, 0x1790b938ac1cf, 0x17a11473eb018,
    0x17b17b0976cfe, 0x17c1ed0130c13, 0x17d26a62ff86f, 0x17e2f336cf4e6, 0x17f3878491c49,
    0x180427543e1a1, 0x1814d2add106e, 0x182589994cce1, 0x18364c1eb941f, 0x18471a4623c7b,
    0x1857f4179f5b2, 0x1868d99b4492f, 0x1879cad931a43, 0x188ac7d98a66a, 0x189bd0a478581,
    0x18ace5422aa0e, 0x18be05bad6178, 0x18cf3216b5449, 0x18e06a5e0866e, 0x18f1ae9915773,
    0x1902fed0282c9, 0x19145b0b91ffc, 0x1925c353aa2fe, 0x193737b0cdc5e, 0x1948b82b5f98e,
    0x195a44cbc8521, 0x196bdd9a7670b, 0x197d829fde4e5, 0x198f33e47a22a, 0x19a0f170ca07c,
    0x19b2bb4d53fe1, 0x19c49182a3f09, 0x19d674194bb8d, 0x19e86319e3232, 0x19fa5e8d07f2a,
    0x1a0c667b5de56, 0x1a1e7aed8eb8c, 0x1a309bec4a2d3, 0x1a42c980460ad, 0x1a5503b23e256,
    0x1a674a8af4605, 0x1a799e1330b36, 0x1a8bfe53c12e6, 0x1a9e6b5579fdc, 0x1ab0e521356ec,
    0x1ac36bbfd3f38, 0x1ad5ff3a3c277, 0x1ae89f995ad3b, 0x1afb4ce622f30, 0x1b0e07298db66,
    0x1b20ce6c9a895, 0x1b33a2b84f160, 0x1b468415b749b, 0x1b59728de5594, 0x1b6c6e29f1c53,
    0x1b7f76f2fb5e4, 0x1b928cf22749e, 0x1ba5b030a1065, 0x1bb8e0b79a6f2, 0x1bcc1e904bc1d,
    0x1bdf69c3f3a20, 0x1bf2c25bd71e1, 0x1c06286141b34, 0x1c199bdd8552a, 0x1c2d1cd9fa653,
    0x1c40ab5fffd08, 0x1c544778fafb2, 0x1c67f12e57d15, 0x1c7ba88988c93, 0x1c8f6d9406e7b,
    0x1ca3405751c4e, 0x1cb720dcef907, 0x1ccb0f2e6d167, 0x1cdf0b555dc40, 0x1cf3155b5bab7,
    0x1d072d4a07898, 0x1d1b532b08c97, 0x1d2f87080d89f, 0x1d43c8eacaa1d, 0x1d5818dcfba48,
    0x1d6c76e862e6d, 0x1d80e316c9839, 0x1d955d71ff607, 0x1da9e603db328, 0x1dbe7cd63a831,
    0x1dd321f301b46, 0x1de7d5641c065, 0x1dfc97337b9b6, 0x1e11676b197d1, 0x1e264614f5a13,
    0x1e3b333b16ee1, 0x1e502ee78b3ff, 0x1e653924676d7, 0x1e7a51fbc74c8, 0x1e8f7977cdb74,
    0x1ea4afa2a490e, 0x1eb9f4867cca7, 0x1ecf482d8e67f, 0x1ee4aaa218851, 0x1efa1bee615a2,
    0x1f0f9c1cb6413, 0x1f252b376bba9, 0x1f3ac948dd727, 0x1f50765b6e454, 0x1f66327988450,
    0x1f7bfdad9cbe1, 0x1f91d802243c9, 0x1fa7c1819e90e, 0x1fbdba3692d51, 0x1fd3c22b8f71f,
    0x1fe9d96b2a23e, 0x2000000000000,
};

/* a / b, rounded towards 0: dividing 128 bits takes ten times as long, and they are rarely needed.
 */
static wide divide(wide a, wide b)
{
    if (a >= 0 && a <= INT64_MAX && b <= INT64_MAX)
        return (int64_t)a / (int64_t)b;
    return a / b;
}

uwide fairshare_f(int64_t half_life_ns, wide elapsed_ns)
{
    wide doublings = divide(elapsed_ns, half_life_ns);
    wide place = (elapsed_ns - doublings * half_life_ns) * STEPS;
    int step = (int)divide(place, half_life_ns);
    uint64_t power = powers[step];
    wide rest = place - (wide)step * half_life_ns;

    power += (uint64_t)((wide)(powers[step + 1] - power) * rest / half_life_ns);
    return (uwide)power << doublings;
}

/* Return F at `at_ns` in the scale of the account's epoch. */
static wide f_at(const struct fairshare *account, const struct fairshare_scale *scale,
                 int64_t at_ns)
{
    wide epoch_ns = (wide)scale->half_life_ns * FAIRSHARE_EPOCH;
    wide elapsed_ns = (wide)at_ns - scale->origin_ns - account->epoch * epoch_ns;

    if (elapsed_ns < 0)
        elapsed_ns = 0;
    return (wide)fairshare_f(scale->half_life_ns, elapsed_ns);
}

void fairshare_settle(struct fairshare *account, const struct fairshare_scale *scale,
                      int64_t now_ns)
{
    wide epoch_ns = (wide)scale->half_life_ns * FAIRSHARE_EPOCH;
    wide epoch = divide((wide)now_ns - scale->origin_ns, epoch_ns);
    wide held = (wide)account->held_ppm;

    while (account->epoch < epoch) {
        struct fairshare before = *account;
        wide usage = before.booked + (held << (FAIRSHARE_BITS + FAIRSHARE_EPOCH)) - before.begun;

        account->begun = held << FAIRSHARE_BITS;
        account->booked = usage >> FAIRSHARE_EPOCH;
        account->epoch++;
        /* After a few epochs in which nothing changes, no further one makes a difference. */
        if (account->booked == before.booked && account->begun == before.begun)
            account->epoch = (int64_t)epoch;
    }
}

void fairshare_hold(struct fairshare *account, const struct fairshare_scale *scale, uint64_t ppm,
                    int64_t since_ns, int64_t now_ns)
{
    fairshare_settle(account, scale, now_ns);
    wide since = f_at(account, scale, since_ns);
    wide now = now_ns == since_ns ? since : f_at(account, scale, now_ns);
    account->held_ppm += ppm;
    account->begun += (wide)ppm * since;
    account->booked -= (wide)ppm * (now - since);
}

void fairshare_drop(struct fairshare *account, const struct fairshare_scale *scale, uint64_t ppm,
                    int64_t since_ns, int64_t now_ns)
{
    fairshare_settle(account, scale, now_ns);
    wide since = f_at(account, scale, since_ns);
    wide now = now_ns == since_ns ? since : f_at(account, scale, now_ns);
    account->held_ppm -= ppm;
    account->begun -= (wide)ppm * since;
    account->booked += (wide)ppm * (now - since);
}

void fairshare_book(struct fairshare *account, const struct fairshare_scale *scale, wide ppm,
                    int64_t since_ns, int64_t now_ns)
{
    fairshare_settle(account, scale, now_ns);
    account->booked += ppm * (f_at(account, scale, now_ns) - f_at(account, scale, since_ns));
}

uwide fairshare_usage(const struct fairshare *account, const struct fairshare_scale *scale,
                      int64_t now_ns)
{
    struct fairshare settled = *account;

    fairshare_settle(&settled, scale, now_ns);
    wide usage =
        settled.booked - settled.begun + (wide)settled.held_ppm * f_at(&settled, scale, now_ns);
    return usage > 0 ? (uwide)usage : 0;
}

/* Return usage x a / b without overflow, for usage <= FAIRSHARE_USAGE_MAX and a, b <= 2^64; at most
 * FAIRSHARE_USAGE_MAX. */
static uwide convert(uwide usage, uwide a, uwide b)
{
    uwide whole = usage / b, rest = usage % b * a / b;

    if (whole && a > (FAIRSHARE_USAGE_MAX - 1) / whole)
        return FAIRSHARE_USAGE_MAX;
    whole = whole * a + rest;
    return whole < FAIRSHARE_USAGE_MAX ? whole : FAIRSHARE_USAGE_MAX;
}

void fairshare_rescale(struct fairshare *account, const struct fairshare_scale *from,
                       const struct fairshare_scale *to, int64_t now_ns)
{
    struct fairshare next = {0};
    uwide usage = fairshare_usage(account, from, now_ns);

    fairshare_settle(account, from, now_ns);
    fairshare_settle(&next, to, now_ns);
    /* A second of now weighs F / half-life. */
    usage = convert(usage, (uwide)from->half_life_ns, (uwide)to->half_life_ns);
    usage = convert(usage, (uwide)f_at(&next, to, now_ns), (uwide)f_at(account, from, now_ns));
    next.booked = (wide)usage;
    *account = next;
}

int fairshare_compare(uwide usage_a, uint32_t weight_a, uwide usage_b, uint32_t weight_b)
{
    uwide a = usage_a * weight_b, b = usage_b * weight_a;

    return (a > b) - (a < b);
}

uint32_t fairshare_dominant_ppm(uint64_t memory_bytes, uint64_t device_bytes, uint32_t compute_ppm)
{
    uint32_t ppm = fairshare_part_ppm(memory_bytes, device_bytes);

    if (compute_ppm > ppm)
        ppm = compute_ppm;
    return ppm ? ppm : 1;
}

uint32_t fairshare_part_ppm(uwide usage, uwide total)
{
    return total ? (uint32_t)(usage * 1000000 / total) : 0;
}
