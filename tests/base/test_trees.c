/* SPDX-License-Identifier: Apache-2.0 */
/* Trees that keep something about their subtrees, and pools: random changes, checked each time. */
#include "tests/check.h"

#include "core/base/avl.h"
#include "core/base/pool.h"

#include <stdlib.h>
#include <string.h>

#define NODES 300
#define TURNS 6000

struct number {
    struct avl_node node; /* summary: the greatest value of the subtree */
    uint32_t key, value;
    bool in;
};

static struct number numbers[NODES];
static size_t updated, put_to;

static const struct number *number_of(const struct avl_node *node)
{
    return avl_entry_const(node, struct number, node);
}

static int compare(const struct avl_node *a, const struct avl_node *b)
{
    uint32_t x = number_of(a)->key, y = number_of(b)->key;
    return (x > y) - (x < y);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void update(struct avl_node *node)
{
    updated++;
    node->summary = number_of(node)->value;
    if (node->left)
        node->summary = larger(node->summary, node->left->summary);
    if (node->right)
        node->summary = larger(node->summary, node->right->summary);
}

static void put(struct avl_node *node, const struct avl_node *added)
{
    put_to++;
    node->summary = larger(node->summary, number_of(added)->value);
}

static const struct avl_kind plain = {.compare = compare};
static const struct avl_kind updating = {.compare = compare, .update = update};
static const struct avl_kind putting = {.compare = compare, .update = update, .put = put};

/* Return the height of a subtree; count it; find its greatest value. */
static int check_subtree(const struct avl *avl, const struct avl_node *node, size_t *count,
                         uint32_t *greatest)
{
    uint32_t below = 0;
    if (!node)
        return 0;
    int left = check_subtree(avl, node->left, count, &below);
    int right = check_subtree(avl, node->right, count, &below);
    ck_assert_int_eq(node->lean, right - left);
    ck_assert(abs(right - left) <= 1);
    ck_assert(!node->left || compare(node->left, node) < 0);
    ck_assert(!node->right || compare(node, node->right) < 0);
    below = larger(below, number_of(node)->value);
    if (avl->kind->update)
        ck_assert_uint_eq(node->summary, below);
    *greatest = larger(*greatest, below);
    ++*count;
    return 1 + (left > right ? left : right);
}

static void change_at_random(const struct avl_kind *kind)
{
    struct avl avl = {.kind = kind};
    size_t in = 0;
    memset(numbers, 0, sizeof(numbers));
    for (uint32_t i = 0; i < NODES; i++)
        numbers[i].key = i;
    srand(1);
    for (int turn = 0; turn < TURNS; turn++) {
        /* it grows, and shrinks, and is empty at times */
        bool shrinks = turn / 1000 % 2;
        struct number *number = &numbers[rand() % NODES];
        if (number->in == !shrinks && rand() % 3)
            continue;
        if (number->in)
            avl_remove(&avl, &number->node);
        number->in = !number->in;
        number->value = (uint32_t)rand() % 1000;
        if (number->in)
            avl_insert(&avl, &number->node);
        in += number->in ? 1u : (size_t)-1;
        size_t count = 0;
        uint32_t greatest = 0;
        check_subtree(&avl, avl.root, &count, &greatest);
        ck_assert_uint_eq(count, in);
    }
}

START_TEST(a_tree_is_balanced_and_knows_its_subtrees)
{
    change_at_random(&plain);
    change_at_random(&updating);
    change_at_random(&putting);
}
END_TEST

/* To put something in looks at no subtree beside its path but where the tree is turned. */
START_TEST(a_put_looks_at_its_path_only)
{
    struct avl avl = {.kind = &putting};
    memset(numbers, 0, sizeof(numbers));
    for (uint32_t i = 0; i < NODES; i++) {
        numbers[i].key = i * 7919 % NODES;
        updated = put_to = 0;
        avl_insert(&avl, &numbers[i].node);
        ck_assert_uint_le(updated, 4);
        ck_assert_uint_le(put_to, 12);
    }
}
END_TEST

START_TEST(a_pool_gives_zeroed_memory_and_takes_it_back)
{
    enum { COUNT = 2000, BYTES = 100 };
    static unsigned char *items[COUNT];
    struct pool pool;
    pool_init(&pool, BYTES);
    srand(2);
    for (int turn = 0; turn < TURNS; turn++) {
        size_t i = (size_t)rand() % COUNT;
        if (items[i]) {
            for (size_t at = 0; at < BYTES; at++)
                ck_assert_uint_eq(items[i][at], i % 251 + 1);
            pool_give(items[i]);
            items[i] = NULL;
            continue;
        }
        items[i] = pool_take(&pool);
        ck_assert_ptr_nonnull(items[i]);
        for (size_t at = 0; at < BYTES; at++)
            ck_assert_uint_eq(items[i][at], 0);
        memset(items[i], (int)(i % 251) + 1, BYTES);
    }
    for (size_t i = 0; i < COUNT; i++)
        if (items[i])
            pool_give(items[i]);
    pool_end(&pool);
    ck_assert_ptr_null(pool.roomy);
}
END_TEST

int main(void)
{
    return check_main("trees", NULL, NULL, a_tree_is_balanced_and_knows_its_subtrees,
                      a_put_looks_at_its_path_only, a_pool_gives_zeroed_memory_and_takes_it_back);
}
