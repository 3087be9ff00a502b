/* What the files about CPU models share: model.c, model_table.c, model_help.c. */
#ifndef MYNA_CPU_MODEL_INTERNAL_H
#define MYNA_CPU_MODEL_INTERNAL_H

#include "cpu/model.h"

typedef enum ModelGroup { MODELS_OWN, MODELS_INTEL, MODELS_AMD, MODELS_OLD, MODEL_GROUPS } ModelGroup;

/* A row of the table of models. */
typedef struct ModelDef {
    ModelGroup group;
    const char *name, *description;
    const char *vendor;      /* 12 characters; "": before CPUID */
    uint16_t family;         /* below 6 it also tells the generation: 0 is the 8086, 1 the 80186 and so on */
    uint8_t model, stepping;
    uint32_t level, xlevel;  /* level 0: there is no CPUID */
    const char *flags;       /* option names; NULL: all that is emulated */
    const char *model_id;
} ModelDef;

extern const ModelDef model_table[];
extern const unsigned model_count;

/* Other names of models, QEMU's and Bochs' among them. */
typedef struct ModelAlias {
    const char *alias, *name;
} ModelAlias;
extern const ModelAlias model_aliases[];
extern const unsigned model_alias_count;

/* The model of that name, whatever the case, or NULL with *err. */
const ModelDef *model_find(const char *name, GError **err);

/* Features by option name. */
typedef struct FeatureName {
    const char *option;
    uint16_t feature;
    uint32_t leaf;
} FeatureName;
extern const FeatureName feature_names[];
extern const unsigned feature_name_count;

/* By any spelling; NULL when no feature has that name. */
const FeatureName *feature_find(const char *name);

/* Whether the name is known, though perhaps of something that is not emulated. */
bool feature_name_known(const char *name);

/* All that is emulated: a set of FEAT_WORDS words. */
void features_emulated(uint64_t *set);

/* Emulated, but `max` and the named models have it only on request. */
bool feature_by_request(const CpuModel *model, unsigned feature);

static inline bool feature_set_has(const uint64_t *set, unsigned f) { return set[f / 64] >> (f % 64) & 1; }

#endif
