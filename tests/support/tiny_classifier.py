"""A token classifier with known labels: a BERT whose embeddings determine the removed words.

Each embedding is (+1, -1, +1, -1) for a removed word and its negative for any other. The weights
of attention and feed-forward layers are zero, so the sign reaches the labels through every
normalisation.
"""

import json

WORDS = ("the", "heart", "is", "big", "effusion", "of", "cm", "no", "edema", "un", "##changed",
         "changed", "since", "new", "stable", "again", "2", "5", ".", ",", "_", "-", "re",
         "##seen", "comp", "##ared", "to", "prior", "##a", "a")  # fmt: skip
REMOVED = ("un", "##changed", "since", "_", "new", "stable", "again", "comp", "to", "prior", "##a")
LABELS = ("KEEP", "REMOVE")


def write_classifier(folder, labels=LABELS, positions=64):
    """Save the classifier; words in `REMOVED` have label 1."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=positions,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=positions,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    model = BertForTokenClassification(config)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "LayerNorm.weight" not in name:
                values.zero_()
        for name, index in vocabulary.items():
            direction = signs if name in REMOVED else -signs
            model.bert.embeddings.word_embeddings.weight[index] = direction
        model.classifier.weight[1] = signs
    model.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["id2label"]
    return folder
