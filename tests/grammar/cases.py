#!/usr/bin/env python3
"""Writes cases.json: schemas, texts that their grammars must accept, and texts that they must not.

`bad` texts are no values of the schema; `narrow` ones are, but are left out by design (order, white space, spelling).
grammar_test.py checks good, bad and narrow against python's jsonschema; src/text/grammar/schema_test.c the grammars.
"""
import json
import pathlib

A = lambda *texts: list(texts)
CASES = [
    ({}, A('1', '"a"', '{"a": [1, {}]}', 'null', '[]', '-0.5e+3', '[\n  1,\n  2\n]'), A('', '01', '.5', '{', "'a'", '[1,]', '{"a"}', 'nul', '1 2', '"\n"', '"\\x"', '"\\ud800"'), A(' 1', '"\\u0000"')),
    (True, A('1', '{}'), A('x'), A()),
    ({"type": "object"}, A('{}', '{"a":1}', '{ "a": {"b": []}, "c": null }', '{\n\t"a": 1\n}'), A('[]', '1', '{"a":1', '{a:1}'), A('{}\n')),
    ({"type": "string"}, A('""', '"aé😀"', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\uD7FF\\uE000"'), A('"', '1', '"\t"', '"\\u12"', '"\\ud83d"', '"\\ude00"', '"\\ud83d\\u0041"'), A()),
    ({"type": "number"}, A('0', '-1', '1.5', '1e9', '1.25E-7', '-0'), A('+1', '1.', '00', '1e', '"1"', 'NaN'), A()),
    ({"type": "integer"}, A('0', '-12', '123456789012345678'), A('1.5', 'a', '01', '"1"'), A('1.0', '1e3', '1234567890123456789')),
    ({"type": "boolean"}, A('true', 'false'), A('null', '1', 'True'), A()),
    ({"type": "null"}, A('null'), A('0', 'false'), A()),
    ({"type": ["string", "null"], "maxLength": 2}, A('null', '""', '"ab"'), A('"abc"', '1'), A()),
    ({"enum": ["a", 1, None, {"b": [1, 2]}, 1.5]}, A('"a"', '1', 'null', '{"b":[1,2]}', '1.5'), A('"b"', '2', '{"b":[1]}', '[]'), A('{"b": [1,2]}', '"\\u0061"')),
    ({"enum": ["a", 1, None], "type": ["string", "integer"]}, A('"a"', '1'), A('null'), A()),
    ({"const": "x\"y\\é"}, A('"x\\"y\\\\é"'), A('"x"', 'x'), A()),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {}}, "required": ["b"], "additionalProperties": False},
     A('{"b":"x"}', '{"a": 1, "b": "x"}', '{"a":1,"b":"","c":[]}', '{"b":"x","c":{"d":1}}'), A('{}', '{"a":1}', '{"b":1}', '{"b":"x","d":1}', '{"b":"x",}', '{"a":"1","b":"x"}'), A('{"b":"x","a":1}')),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "additionalProperties": False}, A('{}', '{"a":1}', '{"b":1}', '{"a":1,"b":2}'), A('{"c":1}', '{"a":1 "b":2}', '{,"b":1}'), A('{"b":1,"a":2}')),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "ab": {"type": "integer"}, "é": {"type": "null"}}, "additionalProperties": {"type": "boolean"}},
     A('{}', '{"a":1,"x":true}', '{"abc":true,"b":false}', '{"":true}', '{"è":true}', '{"é":null,"éa":true}', '{"a":1,"ab":2,"aba":true,"ac":false}'), A('{"a":true}', '{"x":1}', '{"ab":false}', '{"x":true,"a":true}', '{"é":true}'), A('{"\\u0062":true}', '{"x":true,"a":1}')),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, A('{}', '{"a":1,"b":2}', '{"\\n":1}'), A('{"a":"x"}', '{"a":1,"b":null}'), A()),
    ({"type": "object", "properties": {"a": {}}}, A('{}', '{"a":1}'), A('[]', '{"a"}'), A('{"b":1}')),
    ({"properties": {"n": {"type": "null"}}, "required": ["n"]}, A('{"n":null}'), A('{}', '{"n":1}'), A('1')),
    ({"type": "array", "items": {"type": "integer"}}, A('[]', '[1]', '[1, 2,3]', '[ ]', '[\n 1\n]'), A('["a"]', '[1,]', '[,1]', '1', '{}'), A()),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}, A('[1,2]', '[1,2,3]'), A('[]', '[1]', '[1,2,3,4]'), A()),
    ({"type": "array", "items": {"type": "null"}, "minItems": 1}, A('[null]', '[null,null,null]'), A('[]'), A()),
    ({"type": "array", "maxItems": 0}, A('[]'), A('[1]'), A()),
    ({"type": "array", "items": {}, "maxItems": 1}, A('[]', '[{}]'), A('[1,2]'), A()),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "null"}, "minItems": 1}, A('[1]', '[1,"a"]', '[1,"a",null,null]'), A('[]', '["a"]', '[1,2]', '[1,"a",3]'), A()),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False}, A('[]', '[1]', '[1,"a"]'), A('[1,"a",3]', '["a"]'), A()),
    ({"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 3, "maxItems": 4}, A('[1,{},"x"]', '[1,2,3,4]'), A('[1,2]', '[1,2,3,4,5]'), A()),
    ({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]}, A('"a"', '5', '100'), A('4', 'null', '[]'), A()),
    ({"type": "object", "anyOf": [{"properties": {"a": {"type": "null"}}, "required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}], "properties": {"k": {"type": "integer"}}, "required": ["k"]},
     A('{"k":1,"a":null}', '{"k":1,"b":null}'), A('{"k":1}', '{"a":null}', '{"k":"","a":null}'), A('{"a":null,"k":1}')),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, A('"a"', 'null'), A('1'), A()),
    ({"oneOf": [{"type": "object", "properties": {"t": {"const": "a"}, "x": {"type": "integer"}}, "required": ["t", "x"]}, {"type": "object", "properties": {"t": {"const": "b"}, "y": {"type": "string"}}, "required": ["t", "y"]}]},
     A('{"t":"a","x":1}', '{"t":"b","y":""}'), A('{"t":"a","y":""}', '{"t":"c"}'), A()),
    ({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 12}, {"minimum": 5}]}, A('5', '12', '9'), A('4', '13', '3', '"a"'), A()),
    ({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}, "a": {"minimum": 0}}, "required": ["b"]}]}, A('{"a":0,"b":""}'), A('{"a":-1,"b":""}', '{"a":1}', '{"b":""}'), A()),
    ({"$ref": "#/$defs/list", "$defs": {"list": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/list"}}, "required": ["v", "next"], "additionalProperties": False}]}}},
     A('null', '{"v":1,"next":null}', '{"v":1,"next":{"v":2,"next":null}}'), A('{"v":1}', '{"v":1,"next":1}', '{}'), A()),
    ({"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}, "required": ["kids"], "additionalProperties": False}, A('{"kids":[]}', '{"kids":[{"kids":[]},{"kids":[{"kids":[]}]}]}'), A('{"kids":[1]}', '{"kids":[{}]}'), A()),
    ({"type": "object", "properties": {"a": {"$ref": "#/definitions/x~1y", "description": "d"}}, "required": ["a"], "definitions": {"x/y": {"type": "boolean"}}}, A('{"a":true}'), A('{"a":1}'), A()),
    ({"$ref": "#/$defs/n", "maximum": 9, "$defs": {"n": {"type": "integer", "minimum": 2}}}, A('2', '9'), A('1', '10'), A()),
    ({"type": "string", "minLength": 2, "maxLength": 3}, A('"ab"', '"é😀a"', '"\\n\\ud83d\\ude00"'), A('"a"', '"abcd"', '""', '"\\n"'), A()),
    ({"type": "string", "minLength": 1}, A('"a"', '"abcdefgh"'), A('""'), A()),
    ({"type": "string", "pattern": "^[a-z]{2,3}-\\d+$"}, A('"ab-1"', '"abc-123"'), A('"a-1"', '"ab-"', '"ab-1 "', '"abcd-1"', '"AB-1"'), A('"\\u0061b-1"')),
    ({"type": "string", "pattern": "b+"}, A('"b"', '"abba"', '"\\n b"'), A('"a"', '""'), A()),
    ({"type": "string", "pattern": "^(a|b(?:c)?)*$|^x"}, A('""', '"abcb"', '"xyz"'), A('"c"', '"ax"'), A()),
    ({"type": "string", "pattern": "^[\"\\\\\\n]$"}, A('"\\""', '"\\\\"', '"\\n"'), A('"a"', '"\\t"', '""'), A()),
    ({"type": "string", "pattern": "^[^a-y]\\s?\\w\\.\\/$"}, A('"zb./"', '"é b./"', '"\\" b./"'), A('"ab./"', '"zb,/"'), A()),
    ({"type": "string", "pattern": "^.\\u0041\\x42?$"}, A('"xA"', '"éAB"'), A('"A"', '"\\nA"'), A()),
    ({"type": "integer", "minimum": 0}, A('0', '7', '1234567'), A('-1', '-0.5'), A('-0')),
    ({"type": "integer", "minimum": -5, "maximum": 5}, A('-5', '-1', '0', '5'), A('-6', '6', '10', '-10', '55'), A()),
    ({"type": "integer", "minimum": 17, "maximum": 4203}, A('17', '99', '100', '999', '1000', '4203', '4199', '20'), A('16', '4204', '5', '0', '9999', '-17', '017'), A()),
    ({"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 100}, A('10', '99', '42'), A('9', '100', '1'), A()),
    ({"type": "integer", "maximum": -3}, A('-3', '-10', '-999'), A('-2', '0', '3', '-1'), A()),
    ({"type": "integer", "minimum": 1.5, "exclusiveMaximum": 4.0}, A('2', '3'), A('1', '4'), A()),
    ({"type": "string", "format": "date"}, A('"2024-02-28"', '"1999-12-31"', '"2024-04-30"'), A('"2024-13-01"', '"2024-04-31"', '"24-1-1"', '"2024-00-10"', '"2024-02-30"'), A('"2024-02-29"')),
    ({"type": "string", "format": "time"}, A('"12:30:45Z"', '"23:59:59.123+05:30"'), A('"24:00:00Z"', '"12:60:00Z"', '"noon"'), A()),
    ({"type": "string", "format": "date-time"}, A('"2024-02-28T12:30:45Z"', '"1985-04-12T23:20:50.52-08:00"'), A('"2024-02-28"', '"2024-02-28T25:00:00Z"'), A()),
    ({"type": "string", "format": "uuid"}, A('"123e4567-e89b-12d3-a456-426614174000"'), A('"123e4567e89b12d3a456426614174000"', '"x"', '"g23e4567-e89b-12d3-a456-426614174000"'), A('"123E4567-e89b-12d3-a456-426614174000"')),
]
out = [{"schema": s, "good": g, "bad": b, "narrow": n} for s, g, b, n in CASES]
path = pathlib.Path(__file__).with_name("cases.json")
path.write_text(json.dumps(out, indent=1, ensure_ascii=True) + "\n")
