// The table of every field of Config. Flags, environment, TOML, checkpoints and help all follow it; its order
// is the order of `config.toml` and of `--help`.
#include "zhgpt/config.h"

namespace zhgpt {
namespace {

constexpr double kMany = 1e12;

#define ZHGPT_REF(member) [](Config& c) -> ConfigField::Ref { return &c.member; }

const ConfigField kFields[] = {
    {"n_layer", FieldGroup::model, ZHGPT_REF(model.n_layer), Msg::help_n_layer, 1, 1000},
    {"n_head", FieldGroup::model, ZHGPT_REF(model.n_head), Msg::help_n_head, 1, 1000},
    {"n_embd", FieldGroup::model, ZHGPT_REF(model.n_embd), Msg::help_n_embd, 1, 65536},
    {"block_size", FieldGroup::model, ZHGPT_REF(model.block_size), Msg::help_block_size, 1, 1 << 20},
    {"vocab_size", FieldGroup::model, ZHGPT_REF(model.vocab_size), Msg::help_vocab_size, 0, 1 << 21},
    {"dropout", FieldGroup::model, ZHGPT_REF(model.dropout), Msg::help_dropout, 0, 0.99},

    {"corpus", FieldGroup::text, ZHGPT_REF(text.corpus), Msg::help_corpus},
    {"text_field", FieldGroup::text, ZHGPT_REF(text.text_field), Msg::help_text_field},
    {"encoding", FieldGroup::text, ZHGPT_REF(text.encoding), Msg::help_encoding},
    {"normalize", FieldGroup::text, ZHGPT_REF(text.normalize), Msg::help_normalize, 0, 0, "none|nfc|nfkc"},
    {"on_invalid", FieldGroup::text, ZHGPT_REF(text.on_invalid), Msg::help_on_invalid, 0, 0,
     "error|replace|skip"},
    {"document", FieldGroup::text, ZHGPT_REF(text.document), Msg::help_document},
    {"val_fraction", FieldGroup::text, ZHGPT_REF(text.val_fraction), Msg::help_val_fraction, 0, 0.9},
    {"val_corpus", FieldGroup::text, ZHGPT_REF(text.val_corpus), Msg::help_val_corpus},
    {"min_count", FieldGroup::text, ZHGPT_REF(text.min_count), Msg::help_min_count, 1, kMany},
    {"vocab", FieldGroup::text, ZHGPT_REF(text.vocab), Msg::help_vocab},

    {"epochs", FieldGroup::train, ZHGPT_REF(train.epochs), Msg::help_epochs, 0, 1e6},
    {"max_iters", FieldGroup::train, ZHGPT_REF(train.max_iters), Msg::help_max_iters, 0, 4e9},
    {"max_time", FieldGroup::train, ZHGPT_REF(train.max_time), Msg::help_max_time, 0, 1e9, nullptr, true},
    {"batch_size", FieldGroup::train, ZHGPT_REF(train.batch_size), Msg::help_batch_size, 1, 1 << 20},
    {"gradient_accumulation_steps", FieldGroup::train, ZHGPT_REF(train.gradient_accumulation_steps),
     Msg::help_gradient_accumulation_steps, 1, 65536},
    {"learning_rate", FieldGroup::train, ZHGPT_REF(train.learning_rate), Msg::help_learning_rate, 0, 100},
    {"lr_schedule", FieldGroup::train, ZHGPT_REF(train.lr_schedule), Msg::help_lr_schedule, 0, 0,
     "cosine|linear|constant|wsd"},
    {"warmup_iters", FieldGroup::train, ZHGPT_REF(train.warmup_iters), Msg::help_warmup_iters, 0, 4e9},
    {"min_lr", FieldGroup::train, ZHGPT_REF(train.min_lr), Msg::help_min_lr, -1, 100},
    {"beta1", FieldGroup::train, ZHGPT_REF(train.beta1), Msg::help_beta1, 0, 0.999999},
    {"beta2", FieldGroup::train, ZHGPT_REF(train.beta2), Msg::help_beta2, 0, 0.999999},
    {"eps", FieldGroup::train, ZHGPT_REF(train.eps), Msg::help_eps, 1e-20, 1},
    {"weight_decay", FieldGroup::train, ZHGPT_REF(train.weight_decay), Msg::help_weight_decay, 0, 100},
    {"grad_clip", FieldGroup::train, ZHGPT_REF(train.grad_clip), Msg::help_grad_clip, 0, 1e9},
    {"seed", FieldGroup::train, ZHGPT_REF(train.seed), Msg::help_seed, 0, 9007199254740992.0},
    {"eval_interval", FieldGroup::train, ZHGPT_REF(train.eval_interval), Msg::help_eval_interval, 0, kMany},
    {"save_interval", FieldGroup::train, ZHGPT_REF(train.save_interval), Msg::help_save_interval, 0, kMany},
    {"sample_interval", FieldGroup::train, ZHGPT_REF(train.sample_interval), Msg::help_sample_interval, 0,
     kMany},
    {"log_interval", FieldGroup::train, ZHGPT_REF(train.log_interval), Msg::help_log_interval, 1, kMany},
    {"patience", FieldGroup::train, ZHGPT_REF(train.patience), Msg::help_patience, 0, kMany},
    {"save_policy", FieldGroup::train, ZHGPT_REF(train.save_policy), Msg::help_save_policy, 0, 0, nullptr,
     false, true},
    {"best_by", FieldGroup::train, ZHGPT_REF(train.best_by), Msg::help_best_by, 0, 0, "loss|accuracy", false,
     true},
    {"keep_last", FieldGroup::train, ZHGPT_REF(train.keep_last), Msg::help_keep_last, 1, 1e6},
    {"keep_best", FieldGroup::train, ZHGPT_REF(train.keep_best), Msg::help_keep_best, 1, 1e6, nullptr, false,
     true},
    {"major_every", FieldGroup::train, ZHGPT_REF(train.major_every), Msg::help_major_every, 0, kMany, nullptr,
     false, true},
    {"verify_saves", FieldGroup::train, ZHGPT_REF(train.verify_saves), Msg::help_verify_saves, 0, 0, nullptr,
     false, true},
    {"spike_z", FieldGroup::train, ZHGPT_REF(train.spike_z), Msg::help_spike_z, 0, 1e9, nullptr, false, true},
    {"max_rollbacks", FieldGroup::train, ZHGPT_REF(train.max_rollbacks), Msg::help_max_rollbacks, 0, 1e6,
     nullptr, false, true},
    {"device", FieldGroup::train, ZHGPT_REF(train.device), Msg::help_device},
    {"dtype", FieldGroup::train, ZHGPT_REF(train.dtype), Msg::help_dtype, 0, 0, "auto|fp32|tf32|bf16", false,
     true},
    {"attention", FieldGroup::train, ZHGPT_REF(train.attention), Msg::help_attention, 0, 0, "native|cudnn",
     false, true},
    {"recompute", FieldGroup::train, ZHGPT_REF(train.recompute), Msg::help_recompute, 0, 0, "none|gelu|block",
     false, true},
    {"deterministic", FieldGroup::train, ZHGPT_REF(train.deterministic), Msg::help_deterministic, 0, 0,
     nullptr, false, true},
    {"threads", FieldGroup::train, ZHGPT_REF(train.threads), Msg::help_threads, 0, 1024},
};
#undef ZHGPT_REF

}  // namespace

std::span<const ConfigField> config_fields() {
  return kFields;
}

}  // namespace zhgpt
