//! What goes into a statement and comes out of a row, in both databases.

use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::DatabaseError;

type Boxed = Box<dyn Error + Sync + Send>;

/// A value in a statement or a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false; SQLite gives it back as a number.
    Bool(bool),
    /// 64 bits.
    Integer(i64),
    /// 64 bits.
    Real(f64),
    /// UTF-8; also what PostgreSQL has as `UUID` or `JSON`.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// An array of 32-bit numbers; PostgreSQL only.
    Numbers(Vec<i32>),
}

impl Value {
    const fn what(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool(_) => "truth value",
            Self::Integer(_) => "number",
            Self::Real(_) => "real number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Numbers(_) => "numbers",
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident $with:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant($with(value))
            }
        }
    )*};
}
from! {
    bool => Bool std::convert::identity,
    i64 => Integer std::convert::identity,
    u32 => Integer i64::from,
    f64 => Real std::convert::identity,
    String => Text std::convert::identity,
    &str => Text str::to_owned,
    &String => Text String::clone,
    Vec<u8> => Bytes std::convert::identity,
    &[u8] => Bytes <[u8]>::to_vec,
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Integer((*value).into()),
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Numbers(_) => {
                return Err(rusqlite::Error::ToSqlConversionFailure("SQLite has no arrays".into()));
            }
        }))
    }
}

impl rusqlite::types::FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(_) => Self::Text(value.as_str()?.to_owned()),
            ValueRef::Blob(value) => Self::Bytes(value.to_vec()),
        })
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Bool(value), &Type::BOOL) => value.to_sql(ty, out),
            (Self::Integer(value), &Type::INT8) => value.to_sql(ty, out),
            (Self::Integer(value), &Type::INT4) => i32::try_from(*value)?.to_sql(ty, out),
            (Self::Integer(value), &Type::INT2) => i16::try_from(*value)?.to_sql(ty, out),
            (Self::Integer(value), &Type::FLOAT8) => (*value as f64).to_sql(ty, out),
            (Self::Real(value), &Type::FLOAT8) => value.to_sql(ty, out),
            (Self::Real(value), &Type::FLOAT4) => (*value as f32).to_sql(ty, out),
            (Self::Text(value), &Type::UUID) => Uuid::parse_str(value)?.to_sql(ty, out),
            (Self::Text(value), &Type::JSON | &Type::JSONB) => {
                serde_json::from_str::<serde_json::Value>(value)?.to_sql(ty, out)
            }
            // PostgreSQL's texts hold no NUL: it is shown as what stands for a character that is not there.
            (Self::Text(value), _) if <&str as ToSql>::accepts(ty) => match value.contains('\0') {
                true => value.replace('\0', "\u{FFFD}").to_sql(ty, out),
                false => value.to_sql(ty, out),
            },
            (Self::Bytes(value), &Type::BYTEA) => value.to_sql(ty, out),
            (Self::Numbers(value), &Type::INT4_ARRAY) => value.to_sql(ty, out),
            _ => Err(format!("serializing a {} as {ty}", self.what()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Boxed> {
        Ok(match *ty {
            Type::BOOL => Self::Bool(bool::from_sql(ty, raw)?),
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Self::Real(f32::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Bytes(<&[u8]>::from_sql(ty, raw)?.to_vec()),
            Type::UUID => Self::Text(Uuid::from_sql(ty, raw)?.to_string()),
            Type::INT4_ARRAY => Self::Numbers(Vec::from_sql(ty, raw)?),
            Type::JSON => Self::Text(std::str::from_utf8(raw)?.to_owned()),
            _ if <&str as FromSql<'_>>::accepts(ty) => {
                Self::Text(<&str>::from_sql(ty, raw)?.to_owned())
            }
            _ => return Err(format!("a column is of type {ty}: cast it").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Boxed> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of what a statement gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(super) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// What is in a column; nothing if there is no such column.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at)
    }

    /// A text.
    ///
    /// # Errors
    /// If it is none.
    pub fn text(&self, column: &str) -> Result<&str, DatabaseError> {
        self.optional_text(column)?.ok_or_else(|| wrong(column, "text"))
    }

    /// A text, or nothing for `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_text(&self, column: &str) -> Result<Option<&str>, DatabaseError> {
        match self.value(column) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(wrong(column, "text")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is none.
    pub fn integer(&self, column: &str) -> Result<i64, DatabaseError> {
        self.optional_integer(column)?.ok_or_else(|| wrong(column, "number"))
    }

    /// A number, or nothing for `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_integer(&self, column: &str) -> Result<Option<i64>, DatabaseError> {
        match self.value(column) {
            Some(Value::Integer(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(wrong(column, "number")),
        }
    }

    /// A real number.
    ///
    /// # Errors
    /// If it is none.
    pub fn real(&self, column: &str) -> Result<f64, DatabaseError> {
        self.optional_real(column)?.ok_or_else(|| wrong(column, "real number"))
    }

    /// A real number, or nothing for `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_real(&self, column: &str) -> Result<Option<f64>, DatabaseError> {
        match self.value(column) {
            Some(Value::Real(value)) => Ok(Some(*value)),
            Some(Value::Integer(value)) => Ok(Some(*value as f64)),
            Some(Value::Null) => Ok(None),
            _ => Err(wrong(column, "real number")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is neither.
    pub fn bool(&self, column: &str) -> Result<bool, DatabaseError> {
        match self.value(column) {
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Integer(value)) => Ok(*value != 0),
            _ => Err(wrong(column, "truth value")),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// If there are none.
    pub fn bytes(&self, column: &str) -> Result<&[u8], DatabaseError> {
        match self.value(column) {
            Some(Value::Bytes(value)) => Ok(value),
            _ => Err(wrong(column, "bytes")),
        }
    }
}

fn wrong(column: &str, wanted: &'static str) -> DatabaseError {
    DatabaseError::Column { column: column.to_owned(), wanted }
}
