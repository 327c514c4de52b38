/* SPDX-License-Identifier: Apache-2.0 */
/* Small parts of the usage reader: rows of usage, names of devices, the text of fdinfo. */
#include "core/gpu/drm_fdinfo.h"
#include "core/gpu/identity.h"
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)

static void add(struct usage_rows *rows, uint32_t device, int32_t pid, uint64_t bytes, uint64_t ns)
{
    const struct gpu_usage_process row = {
        .device = device, .pid = pid, .memory_bytes = bytes, .busy_ns = ns};
    ck_assert_int_eq(usage_rows_add(rows, &row), 0);
}

static void has(const struct usage_rows *rows, size_t at, uint32_t device, int32_t pid,
                uint64_t bytes, uint64_t ns)
{
    ck_assert_uint_lt(at, rows->count);
    ck_assert_uint_eq(rows->row[at].device, device);
    ck_assert_int_eq(rows->row[at].pid, pid);
    ck_assert_uint_eq(rows->row[at].memory_bytes, bytes);
    ck_assert_uint_eq(rows->row[at].busy_ns, ns);
}

static void add_all(struct usage_rows *rows)
{
    add(rows, 1, 5, 10, 1);
    add(rows, 0, 9, 3, 0);
    add(rows, 1, 5, 7, 2);
    add(rows, 0, 2, GPU_BYTES_UNKNOWN, 0);
    add(rows, 1, 4, GPU_BYTES_UNKNOWN, 5);
    add(rows, 1, 5, GPU_BYTES_UNKNOWN, 4);
    add(rows, 1, 4, GPU_BYTES_UNKNOWN, 5);
    add(rows, 2, 1, INT64_MAX - 1, INT64_MAX);
    add(rows, 2, 1, INT64_MAX - 1, INT64_MAX);
}

START_TEST(rows_merge)
{
    struct usage_rows rows = {0};
    usage_rows_merge(&rows, USAGE_SUM);
    ck_assert_uint_eq(rows.count, 0);
    ck_assert_ptr_null(usage_rows_find(&rows, 0, 9));
    add_all(&rows);
    usage_rows_merge(&rows, USAGE_SUM);
    ck_assert_uint_eq(rows.count, 5);
    has(&rows, 0, 0, 2, GPU_BYTES_UNKNOWN, 0);
    has(&rows, 1, 0, 9, 3, 0);
    has(&rows, 2, 1, 4, GPU_BYTES_UNKNOWN, 10);
    has(&rows, 3, 1, 5, 17, 7);
    has(&rows, 4, 2, 1, INT64_MAX, INT64_MAX);
    ck_assert_ptr_eq(usage_rows_find(&rows, 1, 5), &rows.row[3]);
    ck_assert_ptr_null(usage_rows_find(&rows, 1, 9));
    usage_rows_free(&rows);
    ck_assert_uint_eq(rows.count, 0);
    add_all(&rows);
    usage_rows_merge(&rows, USAGE_MAX);
    ck_assert_uint_eq(rows.count, 5);
    has(&rows, 2, 1, 4, GPU_BYTES_UNKNOWN, 5);
    has(&rows, 3, 1, 5, 10, 4);
    usage_rows_free(&rows);
}
END_TEST

START_TEST(rows_cut)
{
    struct usage_rows rows = {0};
    ck_assert_uint_eq(usage_rows_cut(&rows, 0), 0);
    for (int i = 0; i < 200; i++)
        add(&rows, (uint32_t)(i % 2), i + 1, i == 150 ? GPU_BYTES_UNKNOWN : (uint64_t)i, 0);
    usage_rows_merge(&rows, USAGE_SUM);
    ck_assert_uint_eq(usage_rows_cut(&rows, 200), 0);
    ck_assert_uint_eq(usage_rows_cut(&rows, 3), 197);
    ck_assert_uint_eq(rows.count, 3);
    has(&rows, 0, 0, 199, 198, 0);
    has(&rows, 1, 1, 198, 197, 0);
    has(&rows, 2, 1, 200, 199, 0);
    ck_assert_uint_eq(usage_rows_cut(&rows, 0), 3);
    usage_rows_free(&rows);
}
END_TEST

static struct gpu_setup setup;

static void name(uint32_t index, const char *uuid, const char *pci)
{
    strcpy(setup.device[index].uuid, uuid);
    strcpy(setup.device[index].pci, pci);
    setup.device_count = index + 1;
}

START_TEST(match)
{
    memset(&setup, 0, sizeof(setup));
    ck_assert_int_eq(gpu_match(&setup, "", ""), -1);
    name(0, "", "");
    name(1, "GPU-ab-1", "0000:3b:00.0");
    name(2, "", "0001:3b:00.0");
    name(3, "MIG-1", "0000:5e:00.0");
    name(4, "MIG-2", "0000:5e:00.0");
    name(5, "", "0000:00:00.0");
    ck_assert_int_eq(gpu_match(&setup, "", ""), -1);
    ck_assert_int_eq(gpu_match(&setup, "gpu-AB-1", ""), 1);
    ck_assert_int_eq(gpu_match(&setup, "ab1", ""), 1);
    ck_assert_int_eq(gpu_match(&setup, "ab12", ""), -1);
    ck_assert_int_eq(gpu_match(&setup, "GPU-", ""), -1);
    ck_assert_int_eq(gpu_match(&setup, "GPU-ab-1", "0001:3B:00.0"), 1); /* the uuid first */
    ck_assert_int_eq(gpu_match(&setup, "GPU-other", "0001:3B:00.0"), 2);
    ck_assert_int_eq(gpu_match(&setup, "", "00000001:3B:00.0"), 2);
    ck_assert_int_eq(gpu_match(&setup, "", "00000000:3B:00.0"), 1);
    ck_assert_int_eq(gpu_match(&setup, "", "00000010:3B:00.0"), -1);
    ck_assert_int_eq(gpu_match(&setup, "", "3b:00.0"), -1);
    ck_assert_int_eq(gpu_match(&setup, "", "0000:3b:00.1"), -1);
    ck_assert_int_eq(gpu_match(&setup, "", "0000:5e:00.0"), -1); /* which of them? */
    ck_assert_int_eq(gpu_match(&setup, "MIG-2", "0000:5e:00.0"), 4);
    ck_assert_int_eq(gpu_match(&setup, "", "00000000:00:00.0"), 5);
    ck_assert_int_eq(gpu_match(&setup, "", "not a link"), -1);
}
END_TEST

/* -- fdinfo ----------------------------------------------------------------------------- */

struct fdinfo_case {
    const char *text;
    bool client, memory;
    uint64_t bytes, busy_ns;
};

#define D "drm-driver:\tx\n"

static const struct fdinfo_case cases[] = {
    {"", false, false, 0, 0},
    {"pos:\t0\nflags:\t02\n", false, false, 0, 0},
    {"drm-memory-vram: 5 KiB\n", false, false, 0, 0}, /* the driver is a mandatory key */
    {D, true, false, 0, 0},
    {"drm-driver:x", true, false, 0, 0},
    {D "drm-memory-vram:5", true, true, 5, 0},
    {D "drm-memory-vram:\t\t 5 KiB  \r\n", true, true, 5 * KIB, 0},
    {D "drm-memory-vram: 5 MiB\n", true, true, 5 * KIB *KIB, 0},
    {D "drm-memory-vram: 5 GiB\n", true, true, 5 * KIB *KIB *KIB, 0},
    {D "drm-memory-vram: 5 kB\n", true, false, 0, 0},
    {D "drm-memory-vram: -5\n", true, false, 0, 0},
    {D "drm-memory-vram: \n", true, false, 0, 0},
    {D "drm-memory-vram 5\n", true, false, 0, 0},
    {D "drm-memory-: 5\n", true, false, 0, 0},
    {D " drm-memory-vram: 5\n", true, false, 0, 0},
    {D "amd-memory-vram: 5\n", true, false, 0, 0},
    /* Resident memory, else used, else allocated. */
    {D "drm-total-vram: 9\ndrm-memory-vram: 8\ndrm-resident-vram: 7\n", true, true, 7, 0},
    {D "drm-resident-vram: 0\ndrm-total-vram: 9\ndrm-memory-vram: 8\n", true, true, 0, 0},
    {D "drm-memory-vram: 8\ndrm-total-vram: 9\n", true, true, 8, 0},
    {D "drm-total-vram: 9\n", true, true, 9, 0},
    {D "drm-shared-vram: 9\ndrm-active-vram: 9\ndrm-purgeable-vram: 9\n", true, false, 0, 0},
    /* The device's memory, else the machine's. */
    {D "drm-total-vram0: 1\ndrm-total-vram1: 2\ndrm-total-gtt: 4\n", true, true, 3, 0},
    {D "drm-total-local0: 1\ndrm-total-system0: 4\n", true, true, 1, 0},
    {D "drm-total-stolen-local0: 1\ndrm-total-system0: 4\n", true, true, 1, 0},
    {D "drm-total-system: 1\ndrm-total-gtt: 4\ndrm-total-cpu: 8\n", true, true, 5, 0},
    {D "drm-total-vram0: 0\ndrm-total-gtt: 4\n", true, true, 0, 0},
    /* Engines. */
    {D "drm-engine-gfx: 5 ns\ndrm-engine-dec: 6 ns\n", true, false, 0, 11},
    {D "drm-engine-gfx: 5\ndrm-engine-dec: 6 us\n", true, false, 0, 0},
    {D "drm-engine-capacity-gfx: 5 ns\n", true, false, 0, 0},
    {D "drm-cycles-rcs: 5\n", true, false, 0, 0},
    /* As large as can be. */
    {D "drm-total-vram: 99999999999999999999999 GiB\n", true, true, INT64_MAX, 0},
    {D "drm-total-vram0: 9223372036854775807\ndrm-total-vram1: 1\n", true, true, INT64_MAX, 0},
    {D "drm-engine-a: 9223372036854775807 ns\ndrm-engine-b: 9 ns\n", true, false, 0, INT64_MAX},
};

START_TEST(fdinfo)
{
    const struct fdinfo_case *c = &cases[_i];
    struct drm_fdinfo info = {0};
    /* Copies it into a block of just that size, so that a byte too far is noticed. */
    size_t size = strlen(c->text);
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, c->text, size);
    ck_assert_msg(drm_fdinfo_parse(copy, size, &info) == c->client, "%s", c->text);
    free(copy);
    ck_assert_msg(info.has_memory == c->memory, "%s", c->text);
    ck_assert_msg(info.memory_bytes == c->bytes, "%s: %ju", c->text, (uintmax_t)info.memory_bytes);
    ck_assert_msg(info.busy_ns == c->busy_ns, "%s: %ju", c->text, (uintmax_t)info.busy_ns);
}
END_TEST

START_TEST(fdinfo_names)
{
    struct drm_fdinfo info;
    char text[4096] = "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t42\n";
    ck_assert(drm_fdinfo_parse(text, strlen(text), &info));
    ck_assert_str_eq(info.driver, "amdgpu");
    ck_assert_str_eq(info.pdev, "0000:03:00.0");
    ck_assert(info.has_client);
    ck_assert_uint_eq(info.client, 42);
    ck_assert(drm_fdinfo_parse(D "drm-client-id:\tx\n", strlen(D) + 17, &info));
    ck_assert(!info.has_client);
    /* More regions than there is room for: the known ones count. */
    size_t at = (size_t)snprintf(text, sizeof(text), D);
    for (int i = 0; i < 100; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "drm-total-vram%d: 1\n", i);
    ck_assert(drm_fdinfo_parse(text, at, &info));
    ck_assert_uint_eq(info.memory_bytes, 16);
    memset(text, 'd', sizeof(text));
    memcpy(text, "drm-driver: ", 12);
    ck_assert(drm_fdinfo_parse(text, sizeof(text), &info));
    ck_assert_uint_eq(strlen(info.driver), sizeof(info.driver) - 1);
}
END_TEST

int main(void)
{
    TCase *all = check_case("usage-units", NULL, NULL);
    tcase_add_test(all, rows_merge);
    tcase_add_test(all, rows_cut);
    tcase_add_test(all, match);
    tcase_add_loop_test(all, fdinfo, 0, (int)ARRAY_COUNT(cases));
    tcase_add_test(all, fdinfo_names);
    return check_run("usage-units", all);
}
